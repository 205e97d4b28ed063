import { isDeepStrictEqual } from "node:util";
import type { Config } from "./config-schema.js";
import { type Setting, settings } from "./settings.js";

/** What another configuration changes, as lines for people. */
export interface SettingsChange {
  /** In force at once. */
  readonly changed: readonly string[];
  /** In force after a restart only. */
  readonly needRestart: readonly string[];
}

/**
 * The settings that are in force. Its sections are the same objects as long as the balancer runs: whoever is handed one reads it whenever it decides
 * something, and so follows a new configuration. What needs a restart stays as it was at the start.
 */
export class LiveSettings {
  readonly current: Config;

  constructor(config: Config) {
    this.current = structuredClone(config);
  }

  /** What `next` changes. */
  compare(next: Config): SettingsChange {
    const different = settings.filter(({ valueIn }) => !isDeepStrictEqual(valueIn(this.current), valueIn(next)));
    const describe = ({ key, valueIn }: Setting) => {
      if (key === "servers") return key;
      return `${key}: ${JSON.stringify(valueIn(next))}, before ${JSON.stringify(valueIn(this.current))}`;
    };
    return {
      changed: different.filter(({ needsRestart }) => !needsRestart).map(describe),
      needRestart: different.filter(({ needsRestart }) => needsRestart).map(describe),
    };
  }

  /** Puts `next` in force, but for what needs a restart. */
  apply(next: Config): void {
    for (const { key, needsRestart, valueIn } of settings) {
      if (needsRestart) continue;
      const path = key.split(".");
      const name = path.pop() ?? "";
      const section = path.reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], this.current);
      (section as Record<string, unknown>)[name] = valueIn(next);
    }
  }
}
