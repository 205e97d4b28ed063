import { z } from "zod";
import { type Config, configSchema } from "./config-schema.js";

/** One setting, by its place in the configuration. */
export interface Setting {
  /** For example `limits.maxFileBytes`. */
  readonly key: string;
  readonly description: string;
  /** Whether a change of it is in force after a restart only. */
  readonly needsRestart: boolean;
  /** Its value in a configuration. */
  readonly valueIn: (config: Config) => unknown;
}

/** All settings, in the order of the schema. */
export const settings: readonly Setting[] = settingsOf(configSchema, []);

function settingsOf(schema: z.ZodObject, path: readonly string[]): Setting[] {
  return Object.entries(schema.shape).flatMap(([name, field]) => {
    const inner = field instanceof z.ZodPrefault ? field.unwrap() : field;
    if (inner instanceof z.ZodObject) return settingsOf(inner, [...path, name]);
    const { description = "", restart = false } = z.globalRegistry.get(field as z.ZodType) ?? {};
    const steps = [...path, name];
    const valueIn = (config: Config) =>
      steps.reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], config);
    return [{ key: steps.join("."), description, needsRestart: restart === true, valueIn }];
  });
}
