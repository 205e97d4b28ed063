import type { ServerEntry } from "./server-entry.js";

/** A server as it is to be in the pool. */
export interface Member extends ServerEntry {
  /** Since when an operator wants it to get nothing new, Unix time; absent where nobody does. */
  readonly drainingSinceMs?: number | undefined;
}

/** What an operator has changed about one server, while the balancer runs. */
export interface MembershipChange {
  readonly name: string;
  /** What the configuration said of the server when that was changed; absent for one that was added. */
  readonly configured?: ServerEntry | undefined;
  /** As it is to be; absent for one that was removed. */
  readonly now?: Member | undefined;
}

/** The pool that configuration and changes make together. */
export interface Membership {
  /** Those of the configuration in its order, then those that were added. */
  readonly members: readonly Member[];
  /** The changes that are in force. */
  readonly changes: readonly MembershipChange[];
  /** Those that are not, because the configuration has spoken since. */
  readonly overruled: readonly MembershipChange[];
}

/**
 * Puts changes on top of the configuration. The later of the two wins: a change is in force until the configuration says something else of that
 * server than when it was made.
 *
 * @param mayReturn whether the configuration still says this of a server, although it is not there now
 */
export function withChanges(
  configured: readonly ServerEntry[],
  changes: readonly MembershipChange[],
  mayReturn: (entry: ServerEntry) => boolean = () => false,
): Membership {
  const byName = new Map(configured.map((entry) => [entry.name, entry]));
  const addresses = new Set(configured.map(({ address }) => address));
  const inForce = changes.filter((change) => {
    if (change.configured) {
      const entry = byName.get(change.name);
      return sameEntry(entry, change.configured) || (entry === undefined && mayReturn(change.configured));
    }
    // One that was added gives way to one of the configuration with its name or address.
    return change.now !== undefined && !byName.has(change.name) && !addresses.has(change.now.address);
  });
  const changeOf = new Map(inForce.map((change) => [change.name, change]));
  const kept = configured.flatMap((entry) => {
    const change = changeOf.get(entry.name);
    if (!change) return [entry];
    return change.now ? [change.now] : [];
  });
  const added = inForce.flatMap(({ configured: entry, now }) => (entry || !now ? [] : [now]));
  return {
    members: [...kept, ...added],
    changes: inForce,
    overruled: changes.filter((change) => !inForce.includes(change)),
  };
}

/**
 * The changes after one more: `now` is how the server is to be, `undefined` that it is to go.
 *
 * @param configured what the configuration says of the server, `undefined` where it does not know it
 */
export function changesAfter(
  changes: readonly MembershipChange[],
  name: string,
  configured: ServerEntry | undefined,
  now: Member | undefined,
): MembershipChange[] {
  const others = changes.filter((change) => change.name !== name);
  // Nothing is left of a change that was undone.
  const undone = now?.drainingSinceMs === undefined && sameEntry(now, configured);
  return undone ? others : [...others, { name, configured, now }];
}

function sameEntry(a: ServerEntry | undefined, b: ServerEntry | undefined): boolean {
  return a?.name === b?.name && a?.address === b?.address && a?.weight === b?.weight;
}
