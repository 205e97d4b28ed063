import type { AttemptRecord, UploadState } from "./upload.js";

/** What a claim depends on. */
export interface ClaimFacts {
  /** Where the upload stands. */
  readonly state: UploadState;
  /** The attempts so far, oldest first. */
  readonly attempts: readonly AttemptRecord[];
  /** Servers whose answer to an attempt was lost: each may hold the file. */
  readonly suspects: readonly string[];
  /** Who has claimed it. */
  readonly claimedBy: string | undefined;
}

/** What becomes of a claim. `server`: the one that has the upload, gets it, has claimed it, or may hold it. */
export type ClaimVerdict =
  | { readonly kind: "claimed"; readonly server: string }
  | { readonly kind: "unknown" }
  | { readonly kind: "receiving" }
  | { readonly kind: "dispatching"; readonly server: string }
  | { readonly kind: "stored"; readonly server: string }
  | { readonly kind: "dead" }
  | { readonly kind: "claimed-elsewhere"; readonly server: string }
  | { readonly kind: "unsettled"; readonly server: string }
  | { readonly kind: "too-many" };

/** How a claim ends: its server, or another one, has stored the upload; or the upload has ended otherwise; or it goes to whichever server is next. */
export type ClaimEnd =
  | "delivered"
  | "stored-elsewhere"
  | "given-up"
  /** The server cannot be talked to, or its lease has expired. */
  | "unreachable"
  /** It was held for too long. */
  | "expired"
  /** How the attempt that followed it ended. */
  | "refused"
  | "lost";

/**
 * Decides whether a server may have an upload for itself. An upload that another server may hold is not given away while that server can be asked;
 * when it cannot, the upload may be placed elsewhere, as without a claim, and the copy is looked for on its return.
 *
 * @param facts `undefined` for an upload that nobody knows
 * @param roomForMore whether the server may claim one more
 */
export function claimVerdict(
  server: string,
  facts: ClaimFacts | undefined,
  isReachable: (server: string) => boolean,
  roomForMore: boolean,
): ClaimVerdict {
  if (!facts) return { kind: "unknown" };
  const { state, attempts, suspects, claimedBy } = facts;
  switch (state.kind) {
    case "stored":
      return { kind: "stored", server: state.receipt.server };
    case "dispatching":
      return { kind: "dispatching", server: attempts.at(-1)?.server ?? "" };
    case "receiving":
    case "dead":
      return { kind: state.kind };
  }
  if (claimedBy === server) return { kind: "claimed", server };
  if (claimedBy !== undefined) return { kind: "claimed-elsewhere", server: claimedBy };
  const holder = suspects.findLast((suspect) => suspect !== server && isReachable(suspect));
  if (holder !== undefined) return { kind: "unsettled", server: holder };
  return roomForMore ? { kind: "claimed", server } : { kind: "too-many" };
}

/** The last attempt on a server that failed, if any since the upload was last taken up. */
export function lastFailureOn(
  server: string,
  attempts: readonly AttemptRecord[],
  sinceMs: number,
): AttemptRecord | undefined {
  return attempts.findLast(
    (attempt) =>
      attempt.server === server &&
      attempt.startedAtMs >= sinceMs &&
      (attempt.outcome === "refused" || attempt.outcome === "lost"),
  );
}
