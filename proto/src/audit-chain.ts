import { hash } from "node:crypto";

/** What can stand in an entry of the audit. */
export const auditKinds = [
  /** The first bytes of a file came, or it was taken up again. */
  "received",
  /** All its bytes are there. */
  "queued",
  /** A server was chosen, and an attempt begins. */
  "attempt",
  /** An attempt ended without the file being stored. */
  "outcome",
  "stored",
  /** Given up. */
  "dead",
  /** A server wants the file for itself. */
  "claimed",
  /** It has it, or does not get it by that claim any more. */
  "claim-ended",
  /** A dead file is tried anew. */
  "revived",
  /** A server removed a copy that was one too many. */
  "discarded",
  /** A server was asked about such a copy, and removed nothing. */
  "checked",
  /** A server turned out to hold the file. */
  "found",
  /** Left open for long: a server may hold the file and has not been asked yet. */
  "unsettled",
  /** The pool has changed. */
  "server",
  /** The configuration was read anew. */
  "config",
  /** Put aside because it was damaged. */
  "quarantined",
  /** Taken up after a restart. */
  "recovered",
  /** The audit itself: what stood behind the last good entry at a start was put aside. */
  "torn",
  /** The audit itself: its file had no entry any more at a start, and was put aside whole. */
  "begun-anew",
  /** The audit itself: entries could not be written, and are gone. */
  "lost",
] as const;

export type AuditKind = (typeof auditKinds)[number];

/** What happened, before it has a place in the chain. What does not apply is left out. */
export interface AuditFacts {
  /** Unix time by the balancer's clock. */
  readonly timeMs: number;
  readonly kind: AuditKind;
  /** As text: numbers beyond 2^53 must survive JSON. */
  readonly requestNumber?: string | undefined;
  readonly uploadId?: string | undefined;
  readonly name?: string | undefined;
  readonly client?: string | undefined;
  readonly server?: string | undefined;
  readonly attempt?: number | undefined;
  readonly sizeBytes?: number | undefined;
  /** Of the stored file, in hexadecimal digits. */
  readonly sha256?: string | undefined;
  /** For people. */
  readonly message?: string | undefined;
}

/** One line of the audit. */
export interface AuditEntry extends AuditFacts {
  /** From 1, without gaps. */
  readonly seq: number;
  /** `hash` of the entry before. */
  readonly prev: string;
  /** SHA-256 of the line up to, not including, `,"hash"`. */
  readonly hash: string;
}

/** The place behind an entry, where the next one goes. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

/** The place of the first entry. */
export const chainStart: ChainHead = { seq: 0, hash: "0".repeat(64) };

/** The longest line that is read as an entry. What the balancer writes is far shorter. */
export const maxAuditLineBytes = 64 * 1024;

/** The last moment that a `Date` can be. */
const largestTimeMs = 8.64e15;

const suffix = /^,"hash":"([0-9a-f]{64})"\}$/;
const suffixBytes = `,"hash":"${chainStart.hash}"}`.length;

/** Makes the line, without its end, that follows `head`, and the head after it. */
export function sealEntry(facts: AuditFacts, head: ChainHead): { readonly line: string; readonly head: ChainHead } {
  const seq = head.seq + 1;
  // Put together as text: to copy the facts into another object takes a quarter of what the sealing takes then.
  const body = `{"seq":${seq},${JSON.stringify(facts).slice(1, -1)},"prev":"${head.hash}"`;
  const sha256 = digest(body);
  return { line: `${body},"hash":"${sha256}"}`, head: { seq, hash: sha256 } };
}

/** What a line is, seen by itself. */
export type ParsedLine =
  | { readonly kind: "entry"; readonly entry: AuditEntry }
  /** Reads like an entry, but its hash is that of another text. */
  | { readonly kind: "changed"; readonly entry: AuditEntry }
  | { readonly kind: "unreadable" };

/** Reads a line, without its end. The hash is taken of the bytes as they are. */
export function parseEntry(line: Buffer): ParsedLine {
  const bodyBytes = line.length - suffixBytes;
  if (bodyBytes <= 0 || line.length > maxAuditLineBytes) return { kind: "unreadable" };
  const sha256 = suffix.exec(line.toString("latin1", bodyBytes))?.[1];
  let entry: unknown;
  try {
    entry = JSON.parse(line.toString("utf8"));
  } catch {
    return { kind: "unreadable" };
  }
  if (!isEntry(entry)) return { kind: "unreadable" };
  return { kind: sha256 === digest(line.subarray(0, bodyBytes)) ? "entry" : "changed", entry };
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== "object" || value === null) return false;
  const { seq, prev, hash: sha256, timeMs, kind } = value as Partial<Record<keyof AuditEntry, unknown>>;
  return (
    Number.isSafeInteger(seq) &&
    typeof prev === "string" &&
    typeof sha256 === "string" &&
    Number.isFinite(timeMs) &&
    Math.abs(Number(timeMs)) <= largestTimeMs &&
    typeof kind === "string"
  );
}

function digest(body: string | Buffer): string {
  return hash("sha256", body, "hex");
}
