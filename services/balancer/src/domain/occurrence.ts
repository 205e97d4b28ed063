import type { ClaimEnd } from "./claim.js";
import type { BilanciaError, Rejection } from "./errors.js";
import type { AttemptOutcome, Receipt, UploadDescription } from "./upload.js";

/** Something worth a line in the log, and where it concerns a file with a number, in the audit. */
export type Occurrence =
  | {
      readonly kind: "received";
      readonly upload: UploadName;
      readonly client: string;
      readonly resumedAtBytes: number;
      /** Absent where it is normal. */
      readonly priority?: UploadDescription["priority"];
    }
  | { readonly kind: "queued"; readonly upload: UploadName; readonly sizeBytes: number }
  | {
      readonly kind: "chosen";
      readonly upload: UploadName;
      readonly server: string;
      readonly attempt: number;
      readonly client: string;
    }
  | {
      readonly kind: "attempt-failed";
      readonly upload: UploadName;
      readonly server: string;
      readonly attempt: number;
      readonly outcome: AttemptOutcome;
      readonly message: string;
      /** `undefined` when it was the last attempt. */
      readonly retryInMs: number | undefined;
    }
  /** The attempt counts for nothing: the bytes stopped coming, or the server had no room after all. */
  | { readonly kind: "attempt-void"; readonly upload: UploadName; readonly server: string; readonly attempt: number }
  | {
      readonly kind: "stored";
      readonly upload: UploadName;
      readonly receipt: Receipt;
      /** The attempt that brought it there, where that is known. */
      readonly attempt: number | undefined;
      readonly tookMs: number;
    }
  | { readonly kind: "rejected"; readonly upload: UploadName; readonly rejection: Rejection }
  | { readonly kind: "dead-letter"; readonly upload: UploadName; readonly action: "revived" | "discarded" }
  /** A server turns out to hold a file whose bytes the balancer has lost; `stored` follows. */
  | { readonly kind: "found"; readonly upload: UploadName; readonly server: string }
  /** Long unfinished, but not given up: one of these servers may hold it and has not been asked yet. */
  | { readonly kind: "unsettled"; readonly upload: UploadName; readonly servers: readonly string[] }
  | {
      readonly kind: "not-admitted";
      readonly uploadId: string;
      readonly name: string;
      readonly client: string;
      readonly rejection: Rejection;
    }
  | { readonly kind: "stream-ended"; readonly client: string; readonly error: BilanciaError }
  | {
      readonly kind: "server-health";
      readonly server: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  | {
      readonly kind: "server-overload";
      readonly server: string;
      readonly overloaded: boolean;
      readonly causes: readonly string[];
    }
  /** A server has said that it has started. */
  | {
      readonly kind: "server-announced";
      readonly server: string;
      readonly instanceId: string;
      readonly version: string;
      readonly peer: string;
      readonly serving: boolean;
    }
  | { readonly kind: "server-claimed"; readonly server: string; readonly asked: number; readonly claimed: number }
  | { readonly kind: "claimed"; readonly upload: UploadName; readonly server: string }
  /** `server`: whose claim it was. */
  | { readonly kind: "claim-ended"; readonly upload: UploadName; readonly server: string; readonly end: ClaimEnd }
  /** Claimed uploads that their server has not taken may go to any other now. `server`: absent where the time was over, whosever they were. */
  | { readonly kind: "claims-ended"; readonly server: string | undefined; readonly files: number }
  /** The pool has changed. `detail` is for people, `by` an operator's peer address, or what else wanted it. */
  | {
      readonly kind: "server-changed";
      readonly server: string;
      readonly change:
        | "added"
        | "weight"
        | "draining"
        | "enabled"
        | "removed"
        | "overruled"
        | "leaving"
        | "left"
        | "lease-expired"
        | "lease-renewed";
      readonly detail: string;
      readonly by: string;
    }
  /** The configuration was read anew and is in force, but for the settings that need a restart. The lists are for people. */
  | {
      readonly kind: "config-reloaded";
      readonly file: string;
      readonly by: string;
      readonly changed: readonly string[];
      readonly needRestart: readonly string[];
    }
  /** The configuration was read anew and cannot be used: the one before stays in force. */
  | {
      readonly kind: "config-refused";
      readonly file: string;
      readonly by: string;
      readonly problems: readonly string[];
    }
  /** A configured name has no addresses that are known; its servers stay as they were. */
  | { readonly kind: "name-unresolved"; readonly name: string; readonly reason: string }
  | { readonly kind: "name-resolved"; readonly name: string; readonly addresses: readonly string[] }
  /** A server that answers its probes is left alone for a while. */
  | { readonly kind: "server-ejected"; readonly server: string; readonly forMs: number; readonly reason: string }
  | {
      readonly kind: "extra-copy";
      readonly requestNumber: bigint;
      readonly uploadId: string;
      readonly server: string;
      readonly discarded: boolean;
      /** For people. */
      readonly result: string;
    }
  | {
      readonly kind: "recovered";
      readonly what: "queued" | "dispatching" | "receiving" | "in a damaged ledger";
      readonly files: number;
      readonly upload?: UploadName;
    }
  | {
      readonly kind: "quarantined";
      readonly what: string;
      readonly detail: string;
      readonly requestNumber?: bigint | undefined;
    }
  | { readonly kind: "fault"; readonly where: string; readonly error: unknown };

/** An upload's names. */
export interface UploadName {
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly name: string;
}
