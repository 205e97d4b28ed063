import type { RejectReason } from "../domain/errors.js";
import type { Occurrence } from "../domain/occurrence.js";
import type { AttemptOutcome } from "../domain/upload.js";
import type { Observer } from "../ports/observer.js";

/** Upper bounds of the times that are counted apart, in seconds; what took longer than the last is counted in the sum only. */
export const timeBoundsSeconds: readonly number[] = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 300, 3_600],
];

/**
 * Counts what happens, since the start, as plain numbers: for each file there is a search among a few bounds and an addition. Whoever shows
 * them reads them from here (`metrics.ts`, `page-figures.ts`).
 */
export class Counters implements Observer {
  /** Files that were not taken, or given up, by reason. */
  readonly rejected = new Map<RejectReason, number>();
  /** Attempts that did not end with `saved`, by outcome. */
  readonly failedAttempts = new Map<AttemptOutcome, number>();
  /** Stored files by how long they took from the first byte: one count for each of `timeBoundsSeconds`, and one for longer. */
  readonly storedWithin: number[] = new Array(timeBoundsSeconds.length + 1).fill(0);
  /** All these times together, in seconds. */
  storedSeconds = 0;
  /** Streams of clients that were ended for an error. */
  endedStreams = 0;
  /** Copies too many that were found on a server and removed. */
  discardedCopies = 0;
  /** Damage that was found and put aside. */
  quarantined = 0;
  /** Faults in the balancer itself. */
  faults = 0;

  note(occurrence: Occurrence): void {
    switch (occurrence.kind) {
      case "stored": {
        const seconds = occurrence.tookMs / 1_000;
        this.storedSeconds += seconds;
        const at = timeBoundsSeconds.findIndex((bound) => seconds <= bound);
        const slot = at < 0 ? timeBoundsSeconds.length : at;
        this.storedWithin[slot] = (this.storedWithin[slot] ?? 0) + 1;
        break;
      }
      case "rejected":
      case "not-admitted":
        add(this.rejected, occurrence.rejection.reason);
        break;
      case "attempt-failed":
        add(this.failedAttempts, occurrence.outcome);
        break;
      case "stream-ended":
        this.endedStreams += 1;
        break;
      case "extra-copy":
        if (occurrence.discarded) this.discardedCopies += 1;
        break;
      case "quarantined":
        this.quarantined += 1;
        break;
      case "fault":
        this.faults += 1;
    }
  }
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
