import { readFile } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "@bilancia/proto/replace-file";
import { z } from "zod";
import { type FieldRule, type ServerEntry, serverRules } from "../domain/server-entry.js";
import type { Observer } from "../ports/observer.js";
import { type MembershipFacts, settledFacts, tellOverruled } from "./membership.js";

const text = ({ expected, holds }: FieldRule<string>) => z.string(expected).refine(holds, expected);
const { name, address, weight } = serverRules;
const entry = z.object(
  {
    name: text(name),
    address: text(address),
    weight: z.number(weight.expected).refine(weight.holds, weight.expected),
  },
  "expected a server, with name, address and weight",
);
const member = entry.extend({ drainingSinceMs: z.int("expected a time in milliseconds").optional() });
const change = z
  .object({ name: text(name), configured: entry.optional(), now: member.optional() }, "expected the change of a server")
  .refine(({ configured, now }) => configured ?? now, "expected what the server was, or what it is to be")
  .refine(
    ({ name, configured = { name }, now = { name } }) => configured.name === name && now.name === name,
    "expected one and the same name",
  );
const kept = z.object(
  {
    changes: z.array(change, "expected a list of changes"),
    leases: z.array(entry, "expected a list of servers").default([]),
  },
  "expected changes and leases, in JSON",
);

/** What a membership keeps over restarts. */
type Kept = Pick<MembershipFacts, "changes" | "leases">;

/** Where an operator's changes of the pool, and the servers that have joined by themselves, are kept: `servers.json` in the balancer's state folder. */
export class MembershipFile {
  readonly #file: string;

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, "servers.json");
  }

  /**
   * What is kept, nothing where there is no file.
   *
   * @throws Error when the file is there but cannot be understood: to go on would bring back servers that were removed
   */
  async read(): Promise<Kept> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return { changes: [], leases: [] };
      throw error;
    }
    const { data, error } = kept.safeParse(parse(text));
    if (data) return data;
    const [issue] = error.issues;
    throw new Error(
      `${this.#file} is damaged: ${[...(issue?.path ?? []), issue?.message].join(": ")}. ` +
        "Restore it from a backup, or remove it to go back to the servers of the configuration.",
    );
  }

  /** Keeps this instead of what was before. Resolves once it is durable. */
  write({ changes, leases }: Kept): Promise<void> {
    return replaceFile(this.#file, `${JSON.stringify({ changes, leases }, undefined, 2)}\n`);
  }
}

/**
 * Reads what is kept, and puts it beside the configuration. What that has overruled is told, and forgotten.
 *
 * @throws Error as `MembershipFile.read`
 */
export async function openMembership(
  stateDir: string,
  configured: readonly ServerEntry[],
  observer: Observer,
): Promise<{ readonly file: MembershipFile; readonly facts: MembershipFacts }> {
  const file = new MembershipFile(stateDir);
  const read = { configured, names: new Map<string, readonly string[]>(), ...(await file.read()) };
  const { facts, overruled } = settledFacts(read);
  tellOverruled(overruled, observer);
  // Forgotten for good: the configuration may say the old thing again later.
  if (facts.changes !== read.changes || facts.leases !== read.leases) await file.write(facts);
  return { file, facts };
}

/** What the text says; `undefined` where it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
