import { readFile } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "@bilancia/proto/replace-file";
import { z } from "zod";
import { type MembershipChange, withChanges } from "../domain/membership.js";
import { type FieldRule, type ServerEntry, serverRules } from "../domain/server-entry.js";
import type { Observer } from "../ports.js";
import { type MembershipFacts, tellOverruled } from "./membership.js";

const text = ({ expected, holds }: FieldRule<string>) => z.string(expected).refine(holds, expected);
const { name, address, weight } = serverRules;
const entry = z.object({
  name: text(name),
  address: text(address),
  weight: z.number(weight.expected).refine(weight.holds, weight.expected),
});
const member = entry.extend({ drainingSinceMs: z.int("expected a time in milliseconds").optional() });
const change = z
  .object({ name: text(name), configured: entry.optional(), now: member.optional() })
  .refine(({ configured, now }) => configured ?? now, "expected what the server was, or what it is to be")
  .refine(
    ({ name, configured = { name }, now = { name } }) => configured.name === name && now.name === name,
    "expected one and the same name",
  );
const kept = z.object({ changes: z.array(change) });

/** Where an operator's changes of the pool are kept: `servers.json` in the balancer's state folder. */
export class MembershipFile {
  readonly #file: string;

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, "servers.json");
  }

  /**
   * The changes that are kept, none where there is no file.
   *
   * @throws Error when the file is there but cannot be understood: to go on would bring back servers that were removed
   */
  async read(): Promise<readonly MembershipChange[]> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
    const { data, error } = kept.safeParse(parse(text));
    if (data) return data.changes;
    const [issue] = error.issues;
    throw new Error(
      `${this.#file} is damaged: ${[...(issue?.path ?? []), issue?.message].join(": ")}. ` +
        "Restore it from a backup, or remove it to go back to the servers of the configuration.",
    );
  }

  /** Keeps changes instead of those before. Resolves once they are durable. */
  write(changes: readonly MembershipChange[]): Promise<void> {
    return replaceFile(this.#file, `${JSON.stringify({ changes }, undefined, 2)}\n`);
  }
}

/**
 * Reads what was changed, and puts it beside the configuration. What that has overruled is told, and forgotten.
 *
 * @throws Error as `MembershipFile.read`
 */
export async function openMembership(
  stateDir: string,
  configured: readonly ServerEntry[],
  observer: Observer,
): Promise<{ readonly file: MembershipFile; readonly facts: MembershipFacts }> {
  const file = new MembershipFile(stateDir);
  const { changes, overruled } = withChanges(configured, await file.read());
  tellOverruled(overruled, observer);
  // Forgotten for good: the configuration may say the old thing again later.
  if (overruled.length > 0) await file.write(changes);
  return { file, facts: { configured, changes } };
}

/** What the text says; `undefined` where it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
