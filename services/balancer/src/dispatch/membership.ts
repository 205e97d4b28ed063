import { type Member, type MembershipChange, withChanges } from "../domain/membership.js";
import { mayResolveTo, type ResolvedNames, resolvedEntries } from "../domain/named-servers.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import type { MembershipFile } from "./membership-file.js";
import { type PoolDifference, PoolShape } from "./pool-shape.js";
import type { ServerPool } from "./server-pool.js";

/** What says which servers there are to be. */
export interface MembershipFacts {
  /** What the configuration says. */
  readonly configured: readonly ServerEntry[];
  /** The addresses of the names in it, as far as they are known. */
  readonly names: ResolvedNames;
  /** The servers that have joined by themselves. */
  readonly leases: readonly ServerEntry[];
  /** What an operator has changed about both, and is in force. */
  readonly changes: readonly MembershipChange[];
}

/** What a membership works with. */
export interface MembershipParts {
  readonly facts: MembershipFacts;
  readonly pool: ServerPool;
  readonly file: MembershipFile;
  /** How many files a server may hold of which it is not known whether it does. */
  readonly unsettled: (name: string) => number;
  readonly clock: Clock;
  readonly observer: Observer;
}

const configuration = "the configuration";
const nameService = "the name service";

/** Which servers there are to be, and why. One change after another, each made durable first, and then put in force. */
export class Membership {
  readonly #parts: MembershipParts;
  readonly #shape: PoolShape;
  #facts: MembershipFacts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.#facts = parts.facts;
    const { pool, unsettled, clock } = parts;
    const onLeft = (difference: PoolDifference, by: string) => this.#tell([difference], by);
    this.#shape = new PoolShape({ pool, unsettled, clock, onLeft });
  }

  get facts(): MembershipFacts {
    return this.#facts;
  }

  stop(): void {
    this.#shape.stop();
  }

  /** Does something that changes the facts when everything asked before has been done: two changes at a time could each undo the other's. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Makes other facts durable, in turn. Where that fails nothing has changed. They are in force with the next `shape`. */
  async keep(facts: Partial<MembershipFacts>): Promise<void> {
    const next = { ...this.#facts, ...facts };
    if (next.changes !== this.#facts.changes || next.leases !== this.#facts.leases) await this.#parts.file.write(next);
    this.#facts = next;
  }

  /** Puts the facts in force, in turn; resolves once new servers have been asked how they are. */
  shape(by: string): Promise<PoolDifference[]> {
    return this.#shape.apply(membersOf(this.#facts), by);
  }

  /** The configuration has been read anew. Changes of an operator are in force where it says what it said when they were made. */
  useConfiguration(configured: readonly ServerEntry[]): Promise<void> {
    return this.inTurn(() => this.#use({ ...this.#facts, configured }, configuration));
  }

  /** Names have been resolved; of those that are not among them, what was known stays. */
  useNames(found: ResolvedNames): Promise<void> {
    return this.inTurn(async () => {
      const known = this.#facts.names;
      const isNew = ([host, addresses]: [string, readonly string[]]) => known.get(host)?.join() !== addresses.join();
      if ([...found].some(isNew))
        await this.#use({ ...this.#facts, names: new Map([...known, ...found]) }, nameService);
    });
  }

  /** Other servers have joined by themselves; in turn. */
  useLeases(leases: readonly ServerEntry[], by: string): Promise<void> {
    return this.#use({ ...this.#facts, leases }, by);
  }

  async #use(next: MembershipFacts, by: string): Promise<void> {
    const { facts, overruled } = settledFacts(next);
    await this.keep(facts);
    tellOverruled(overruled, this.#parts.observer);
    this.#tell(await this.shape(by), by);
  }

  #tell(differences: readonly PoolDifference[], by: string): void {
    for (const difference of differences) this.#parts.observer.note({ kind: "server-changed", ...difference, by });
  }
}

/** What is changed by an operator: the servers of the configuration, and those that have joined by themselves. */
export function baseOf({ configured, names, leases }: Omit<MembershipFacts, "changes">): readonly ServerEntry[] {
  return [...resolvedEntries(configured, names), ...leases];
}

/** The servers that there are to be. */
export function membersOf(facts: MembershipFacts): readonly Member[] {
  return changedBase(facts).members;
}

function changedBase(facts: MembershipFacts) {
  return withChanges(baseOf(facts), facts.changes, (entry) => mayResolveTo(facts.configured, entry));
}

/** The facts without those that others have overruled: the configuration needs no lease for whom it names, and overrules changes. */
export function settledFacts(facts: MembershipFacts): {
  readonly facts: MembershipFacts;
  readonly overruled: readonly MembershipChange[];
} {
  const entries = resolvedEntries(facts.configured, facts.names);
  const isFree = (lease: ServerEntry) =>
    !entries.some(({ name, address }) => name === lease.name || address === lease.address);
  const leases = facts.leases.every(isFree) ? facts.leases : facts.leases.filter(isFree);
  const { changes, overruled } = changedBase({ ...facts, leases });
  return { facts: { ...facts, leases, changes: overruled.length > 0 ? changes : facts.changes }, overruled };
}

/** Tells of changes that the configuration has overruled. */
export function tellOverruled(overruled: readonly MembershipChange[], observer: Observer): void {
  for (const { name } of overruled) {
    const detail = "the configuration says something else of it than when it was changed";
    observer.note({ kind: "server-changed", server: name, change: "overruled", detail, by: configuration });
  }
}
