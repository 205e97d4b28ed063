/**
 * How files find their servers: a policy knows which servers may be given one now, and names the next. Pure: whoever learns of a change
 * says so at once, so that a choice asks nobody. Servers are known by name.
 */
export interface Policy {
  /** Puts a server into the choice, or changes the weight of one that is in it. The weight is a whole number from 1, in any unit that all share. */
  offer(name: string, weight: number): void;
  /** Takes a server out of the choice, for as long as it is not offered again; what it is owed, or owes, is remembered. */
  withdraw(name: string): void;
  /** Takes a server out for good. */
  forget(name: string): void;
  /** The server for the next file of so many bytes, as far as is known; `undefined` when none is in the choice. */
  pick(sizeBytes: number): string | undefined;
  /** A file that was picked for as one of `assumedBytes` turned out to have `actualBytes`. */
  correct(name: string, assumedBytes: number, actualBytes: number): void;
  /** How the servers stand now, for people who want to know why. Cheap, and stays as it is: it is put into figures when somebody asks. */
  standings(): Standings;
  /** The servers that the last pick compared, where these were not all that are in the choice. */
  readonly compared?: readonly string[] | undefined;
}

/**
 * Tells how servers stood, each in its policy's own measure; those are left out that the policy did not know.
 *
 * @param loadOf what was on its way to a server then, in bytes
 */
export type Standings = (loadOf: (server: string) => number) => ReadonlyMap<string, number>;

/** The policies there are, as the configuration names them. */
export const policyNames = ["weighted_round_robin", "byte_weighted", "least_load"] as const;

export type PolicyName = (typeof policyNames)[number];
