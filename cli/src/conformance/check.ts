import type { Probe } from "./probe.js";

/** Whether every server must pass a check, or only one that has the optional part it is about. */
export type Level = "required" | "optional";

/** What the user has to give for a check to be possible: without it, the check is not tested. */
export type Need = "restart-cmd" | "overload-files" | "busy-files";

/** One rule of the contract, and how it is tried on a running server. */
export interface Check {
  /** Its name, `subject.what`; never changed, never used for another rule. */
  readonly name: string;
  readonly level: Level;
  /** What the contract says. */
  readonly rule: string;
  readonly needs?: Need;
  /** @throws Violation when the server breaks the rule, NotImplemented when it has left the part out */
  run(probe: Probe): Promise<void>;
}
