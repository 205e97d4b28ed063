import type { LoadResponse } from "@bilancia/proto/gen/storage";
import type { Backend } from "../domain/backend.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { ServerState } from "../domain/server-state.js";

/**
 * The pool as the admin rpcs see it. Changes resolve once they are durable and in force, with the server as it is then; where they cannot be made durable they
 * reject, and nothing has changed. `by` says who wants it, for log and audit.
 *
 * All but `add` throw BilanciaError `UNKNOWN_SERVER`; `add` and `setWeight` `INVALID_HEADER` for values that cannot be.
 */
export interface ServerKeeper {
  servers(): readonly ServerView[];
  /** @throws BilanciaError `SERVER_EXISTS` where another server has the name or the address */
  add(entry: ServerEntry, by: string): Promise<ServerView>;
  setWeight(name: string, weight: number, by: string): Promise<ServerView>;
  drain(name: string, by: string): Promise<ServerView>;
  enable(name: string, by: string): Promise<ServerView>;
  /** @throws BilanciaError `SERVER_IN_USE` where it is not drained, or may hold files of which that is not known, and `force` is not set */
  remove(name: string, force: boolean, by: string): Promise<ServerView>;
}

/** One server, with what was counted of it since the start. */
export interface ServerView {
  readonly backend: Readonly<Backend>;
  /** Its weight as it counts now: while it grows after a return, and as was learned. */
  readonly effectiveWeight: number;
  readonly full: boolean;
  readonly state: ServerState;
  /** Its last answer to `Load`. */
  readonly load: LoadResponse | undefined;
  readonly storedFiles: number;
  readonly storedBytes: number;
  readonly failedAttempts: number;
  /** Files that it may hold of which it is not known whether it does. */
  readonly unsettledFiles: number;
  /** Until when its lease holds, or held; absent where it has none. */
  readonly leaseUntilMs?: number | undefined;
}
