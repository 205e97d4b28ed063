import type { Occurrence } from "../domain/occurrence.js";

/** Who wants to know. Called synchronously on the hot path: must be quick and must not throw. */
export interface Observer {
  note(occurrence: Occurrence): void;
}
