import { FileChanges } from "@bilancia/proto/file-changes";
import { ConfigError } from "./config.js";
import type { Config } from "./config-schema.js";
import type { LiveSettings } from "./live-settings.js";
import type { Clock } from "./ports/clock.js";
import type { ConfigState } from "./ports/config-state.js";
import type { Observer } from "./ports/observer.js";

/** Where the configuration comes from. */
export interface ConfigSource {
  /** The file that is watched; `undefined` where there is none. */
  readonly file: string | undefined;
  /** Its `fingerprint` from before it was read for the start. */
  readonly seen: string;
  /**
   * Reads and checks all of it anew.
   *
   * @throws ConfigError
   */
  read(): Config;
}

/** What a reload works with. */
export interface ConfigReloadParts {
  readonly source: ConfigSource;
  readonly settings: LiveSettings;
  /** Puts the servers of a configuration in force; where that cannot be made durable it rejects, and nothing has changed. */
  readonly useServers: (servers: Config["servers"]) => Promise<void>;
  /** Called when settings have changed, for those who do not just read them. */
  readonly onApplied: () => void;
  readonly clock: Clock;
  readonly observer: Observer;
}

/**
 * Takes a changed configuration in while the balancer runs: it is checked as a whole, and then put in force as a whole. One that cannot be used
 * leaves the one before in force, and that is told. Whoever makes it calls `start` and `stop`.
 */
export class ConfigReload {
  readonly #parts: ConfigReloadParts;
  readonly #changes: FileChanges | undefined;
  #state: ConfigState;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: ConfigReloadParts) {
    this.#parts = parts;
    const { source, clock } = parts;
    this.#state = { file: source.file, loadedAtMs: clock.nowMs(), needRestart: [], refused: undefined };
    if (source.file !== undefined)
      this.#changes = new FileChanges(source.file, source.seen, () => void this.reload("a changed file"));
  }

  /** What came of the last reload. */
  get state(): ConfigState {
    return this.#state;
  }

  /** Begins to watch the file. */
  start(): void {
    this.#changes?.start();
  }

  /** Watches no more; resolves when a reload under way has ended. */
  async stop(): Promise<void> {
    this.#changes?.stop();
    await this.#last;
  }

  /**
   * Reads the configuration again, one after another. Never rejects: what is wrong is told.
   *
   * @param by what wants it, for log and audit
   */
  reload(by: string): Promise<void> {
    this.#last = this.#last.then(() => this.#reload(by));
    return this.#last;
  }

  async #reload(by: string): Promise<void> {
    const { source, settings, useServers, onApplied, clock, observer } = this.#parts;
    const file = source.file ?? "none";
    try {
      const next = source.read();
      const { changed, needRestart } = settings.compare(next);
      await useServers(next.servers);
      settings.apply(next);
      onApplied();
      this.#state = { file: source.file, loadedAtMs: clock.nowMs(), needRestart, refused: undefined };
      observer.note({ kind: "config-reloaded", file, by, changed, needRestart });
    } catch (error) {
      const problems =
        error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
      this.#state = { ...this.#state, refused: { atMs: clock.nowMs(), problems } };
      observer.note({ kind: "config-refused", file, by, problems });
    }
  }
}
