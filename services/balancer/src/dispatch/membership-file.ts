import { readFile } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "@bilancia/proto/replace-file";
import { type Member, type Membership, type MembershipChange, withChanges } from "../domain/membership.js";
import { type ServerEntry, serverRules } from "../domain/server-entry.js";
import type { Observer } from "../ports.js";

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
    const changes = parse(text);
    if (changes?.every(isChange)) return changes;
    throw new Error(
      `${this.#file} is damaged: expected {"changes":[{"name":...,"configured":...,"now":...}, ...]}. ` +
        "Restore it from a backup, or remove it to go back to the servers of the configuration.",
    );
  }

  /** Keeps changes instead of those before. Resolves once they are durable. */
  write(changes: readonly MembershipChange[]): Promise<void> {
    return replaceFile(this.#file, `${JSON.stringify({ changes }, undefined, 2)}\n`);
  }
}

/**
 * Reads what was changed, and makes of it and the configuration the pool to begin with. What the configuration has overruled is told, and forgotten.
 *
 * @throws Error as `MembershipFile.read`
 */
export async function openMembership(
  stateDir: string,
  configured: readonly ServerEntry[],
  observer: Observer,
): Promise<Pick<Membership, "members" | "changes"> & { readonly file: MembershipFile }> {
  const file = new MembershipFile(stateDir);
  const { members, changes, overruled } = withChanges(configured, await file.read());
  for (const { name } of overruled) {
    const detail = "the configuration says something else of it than when it was changed";
    observer.note({ kind: "server-changed", server: name, change: "overruled", detail, by: "the configuration" });
  }
  // Forgotten for good: the configuration may say the old thing again later.
  if (overruled.length > 0) await file.write(changes);
  return { file, members, changes };
}

function parse(text: string): MembershipChange[] | undefined {
  try {
    const { changes } = JSON.parse(text) as { changes?: unknown };
    return Array.isArray(changes) ? (changes as MembershipChange[]) : undefined;
  } catch {
    return undefined;
  }
}

function isChange(change: MembershipChange | null): boolean {
  if (typeof change !== "object" || change === null || !isName(change.name)) return false;
  const { name, configured, now } = change;
  const drainingSinceMs = now?.drainingSinceMs;
  return (
    (configured !== undefined || now !== undefined) &&
    [configured, now].every((entry) => entry === undefined || isEntry(entry, name)) &&
    (drainingSinceMs === undefined || Number.isSafeInteger(drainingSinceMs))
  );
}

function isEntry(entry: ServerEntry | Member | null, name: string): boolean {
  if (typeof entry !== "object" || entry === null) return false;
  const { address, weight } = entry;
  const { address: addressRule, weight: weightRule } = serverRules;
  return entry.name === name && typeof address === "string" && addressRule.holds(address) && weightRule.holds(weight);
}

function isName(name: unknown): name is string {
  return typeof name === "string" && serverRules.name.holds(name);
}
