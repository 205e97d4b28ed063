import type { Rejection } from "./errors.js";
import type { Priority } from "./priority.js";

/** When the client wants to hear back: once a server has the file, or once the queue has it. */
export type AckStage = "stored" | "queued";

/** What kind of document a file is. */
export type FileKind = "text_document" | "binary";

/** What a client says of a file before its bytes. Checked: see `intake/header-reader.ts`. */
export interface UploadDescription {
  /** The idempotency key, a UUID in lower case. */
  readonly uploadId: string;
  readonly name: string;
  readonly sizeBytes?: number | undefined;
  readonly sha256?: Uint8Array | undefined;
  readonly contentType: string;
  readonly kind: FileKind;
  readonly ack: AckStage;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent where it is normal. It is none of what makes the file the same one: sent again, an upload stays as it was. */
  readonly priority?: Exclude<Priority, "normal"> | undefined;
}

/** What was found in a text document. */
export interface TextStats {
  readonly lettersA: number;
  readonly characters: number;
}

/** Proof of where an upload landed; never changes. */
export interface Receipt {
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly name: string;
  readonly server: string;
  readonly storedName: string;
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
  /** From 1; `busy` answers do not count. */
  readonly attempts: number;
  /** Unix time by the balancer's clock. */
  readonly storedAtMs: number;
  readonly textStats?: TextStats | undefined;
}

/** How one try of one upload on one server ended. `lost` means unknown: the answer never came. */
export type AttemptOutcome = "saved" | "busy" | "refused" | "lost";

/** One try of one upload on one server. */
export interface AttemptRecord {
  readonly number: number;
  readonly server: string;
  readonly startedAtMs: number;
  /** Absent while it runs. */
  readonly outcome?: AttemptOutcome;
  /** Why it failed, for people. */
  readonly message?: string | undefined;
}

/** Where an upload stands. */
export type UploadState =
  /** Bytes are arriving, or the client left before the end and may come back. */
  | { readonly kind: "receiving" }
  /** Complete, waiting for a server. */
  | { readonly kind: "queued" }
  /** Complete, on its way to a server. */
  | { readonly kind: "dispatching" }
  | { readonly kind: "stored"; readonly receipt: Receipt }
  | { readonly kind: "dead"; readonly rejection: Rejection };

/** What can happen to an upload. */
export type UploadChange =
  /** The last byte is here. `underway`: it was being passed on while it arrived. */
  | { readonly kind: "completed"; readonly underway: boolean }
  | { readonly kind: "dispatched" }
  | { readonly kind: "requeued" }
  /** Bytes that had come are lost: they must come again. */
  | { readonly kind: "bytes-lost" }
  | { readonly kind: "saved"; readonly receipt: Receipt }
  | { readonly kind: "rejected"; readonly rejection: Rejection }
  /** A dead letter, whose bytes have been kept, is tried anew. */
  | { readonly kind: "revived" }
  /** The bytes of a dead letter are kept no longer. */
  | { readonly kind: "discarded" };

/**
 * The state after a change.
 *
 * @throws Error on a change that the state does not allow: a fault of the caller, never of a client
 */
export function nextUploadState(state: UploadState, change: UploadChange): UploadState {
  switch (change.kind) {
    case "completed":
      if (state.kind === "receiving") return { kind: change.underway ? "dispatching" : "queued" };
      break;
    case "dispatched":
      if (state.kind === "queued") return { kind: "dispatching" };
      break;
    case "requeued":
      if (state.kind === "dispatching") return { kind: "queued" };
      break;
    case "bytes-lost":
      if (state.kind === "queued" || state.kind === "dispatching") return { kind: "receiving" };
      break;
    case "saved":
      if (state.kind === "dispatching") return { kind: "stored", receipt: change.receipt };
      break;
    case "rejected":
      if (state.kind !== "stored" && state.kind !== "dead") return { kind: "dead", rejection: change.rejection };
      break;
    case "revived":
      if (state.kind === "dead") return { kind: "queued" };
      break;
    case "discarded":
      if (state.kind === "dead") {
        const message = `${state.rejection.message}; discarded by an operator`;
        return { kind: "dead", rejection: { ...state.rejection, message } };
      }
      break;
  }
  throw new Error(`an upload that is ${state.kind} cannot be ${change.kind}`);
}

/** Whether nothing more will happen to an upload. */
export function isFinal(state: UploadState): boolean {
  return state.kind === "stored" || state.kind === "dead";
}

/**
 * Says how a repeated description differs from the first one, or `undefined` where they describe the same file. What
 * either leaves open is no difference.
 */
export function descriptionConflict(first: UploadDescription, again: UploadDescription): string | undefined {
  if (first.name !== again.name)
    return `the name was ${JSON.stringify(first.name)} and is ${JSON.stringify(again.name)}`;
  if (first.kind !== again.kind) return `the kind was ${first.kind} and is ${again.kind}`;
  if (first.ack !== again.ack) return `the ack was ${first.ack} and is ${again.ack}`;
  if (first.sizeBytes !== undefined && again.sizeBytes !== undefined && first.sizeBytes !== again.sizeBytes) {
    return `the size was ${first.sizeBytes} bytes and is ${again.sizeBytes} bytes`;
  }
  if (first.sha256 && again.sha256 && !sameBytes(first.sha256, again.sha256)) return "the SHA-256 is another one";
  return undefined;
}

/** Whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
