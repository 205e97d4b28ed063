/** How often a fault is to be brought about, and with which chance. */
export interface FaultRun {
  readonly count: number;
  readonly seed: number;
  /** How many tests run on this machine at a time. */
  readonly sharedBy: number;
}

/** What came of it. */
export interface FaultReport {
  /** How often it was brought about. */
  readonly done: number;
  /** One line for people. */
  readonly summary: string;
  /** What was found wrong, for people; empty when the test has passed. */
  readonly violations: readonly string[];
  /** Where files and logs are; they are kept when something was wrong. */
  readonly folder: string;
}

/** One fault test. */
export interface FaultTest {
  /** How often in a run for every change, and in a long one. */
  readonly counts: { readonly ci: number; readonly long: number };
  readonly run: (run: FaultRun) => Promise<FaultReport>;
}
