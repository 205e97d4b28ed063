import type { Probe, ProbeOptions } from "./probe.js";

/** Whether every server must pass a check, or only one that has the optional part it is about. */
export type Level = "required" | "optional";

/** What the user has to give for a check to be possible: without it, the check is not tested. */
export type Need = "restart-cmd" | "overload-files" | "busy-files" | "max-file-bytes" | "queue-files";

/** One rule of the contract, and how it is tried on a running server. */
export interface Check<P> {
  /** Its name, `subject.what`; never changed, never used for another rule. */
  readonly name: string;
  readonly level: Level;
  /** What the contract says. */
  readonly rule: string;
  readonly needs?: Need;
  /** @throws Violation when the server breaks the rule, NotImplemented when it has left the part out */
  run(probe: P): Promise<void>;
}

/** The checks of one kind of server, in the order in which they are tried, and what they work with. */
export interface Kit<P extends Probe = Probe> {
  /** Who is tried, for people: `the storage server`. */
  readonly subject: string;
  readonly checks: readonly Check<P>[];
  /** What one check works with; whoever opens it closes it. */
  open(options: ProbeOptions): P;
}
