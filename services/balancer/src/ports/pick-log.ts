import type { PickEnd, PickRecord } from "../domain/pick.js";

/** Where it is taken down how files were placed. Called synchronously on the hot path: must be quick and must not throw. */
export interface PickLog {
  picked(pick: PickRecord): void;
  ended(end: PickEnd): void;
}

/** The choices that are remembered. */
export interface PickMemory {
  /** Those for one upload, oldest first. */
  find(requestNumber: bigint): readonly PickRecord[];
  /** How many are remembered, and since when without a gap: `undefined` while there are none. */
  readonly count: number;
  readonly sinceMs: number | undefined;
}
