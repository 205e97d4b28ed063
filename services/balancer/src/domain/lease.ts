import type { ServerEntry } from "./server-entry.js";

/** A server of the pool, as far as one that wants to join must know of it. */
export interface Holder extends ServerEntry {
  /** For how long it has its name and address for sure, in milliseconds; 0 when its lease has expired, `undefined` when it is there without one. */
  readonly leasedForMs: number | undefined;
}

/** Whether a server may join under its name, at its address. */
export type LeaseVerdict =
  /** It may. `replaced`: the servers whose lease has expired, and whose place it takes. */
  | { readonly kind: "granted"; readonly replaced: readonly string[] }
  /** Another server has one of the two. */
  | { readonly kind: "taken"; readonly field: "name" | "address"; readonly by: Holder };

/**
 * Decides whether a server that is not configured may join, or join again. A name or an address belongs to who has it, until the lease has expired. The same name
 * at the same address is the same server.
 */
export function decideLease({ name, address }: ServerEntry, holders: readonly Holder[]): LeaseVerdict {
  const replaced: string[] = [];
  for (const by of holders) {
    const sameName = by.name === name;
    const sameAddress = by.address === address;
    if (!sameName && !sameAddress) continue;
    if (sameName && sameAddress && by.leasedForMs !== undefined) continue;
    if (by.leasedForMs !== 0) return { kind: "taken", field: sameName ? "name" : "address", by };
    replaced.push(by.name);
  }
  return { kind: "granted", replaced };
}
