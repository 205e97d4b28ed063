import type { AuditFacts } from "@bilancia/proto/audit-chain";
import type { ClaimEnd } from "../domain/claim.js";
import type { Occurrence, UploadName } from "../domain/occurrence.js";

/** Longer messages are cut, so that an entry stays short whatever a server answers. */
const maxMessageLength = 1_000;
/** Nor is any text of an entry longer than this, in characters: six bytes each at most, all of them together stay below the longest line that is read. */
const maxTextLength = 1_200;
const texts = ["requestNumber", "uploadId", "name", "client", "server", "sha256", "message"] as const;

/** An occurrence as the audit has it; `undefined` for those that are not about a file with a number, which only the log has. */
export function toAuditFacts(occurrence: Occurrence, timeMs: number): AuditFacts | undefined {
  const facts = factsOf(occurrence, timeMs);
  const long = texts.filter((text) => (facts?.[text]?.length ?? 0) > maxTextLength);
  if (!facts || long.length === 0) return facts;
  return { ...facts, ...Object.fromEntries(long.map((text) => [text, cut(facts[text] ?? "")])) };
}

function factsOf(occurrence: Occurrence, timeMs: number): AuditFacts | undefined {
  switch (occurrence.kind) {
    case "received": {
      const { upload, client, resumedAtBytes, priority } = occurrence;
      const resumed = resumedAtBytes > 0 ? `resumed at byte ${resumedAtBytes}` : undefined;
      const message = priority ? `${priority} priority${resumed ? `; ${resumed}` : ""}` : resumed;
      return { timeMs, kind: "received", ...names(upload), client, message };
    }
    case "queued":
      return { timeMs, kind: "queued", ...names(occurrence.upload), sizeBytes: occurrence.sizeBytes };
    case "chosen": {
      const { upload, client, server, attempt } = occurrence;
      return { timeMs, kind: "attempt", ...names(upload), client, server, attempt };
    }
    case "attempt-failed": {
      const { upload, server, attempt, outcome, retryInMs } = occurrence;
      const next = retryInMs === undefined ? "" : `; again in ${Math.round(retryInMs)} ms`;
      const message = `${cut(`${outcome}: ${occurrence.message}`)}${next}`;
      return { timeMs, kind: "outcome", ...names(upload), server, attempt, message };
    }
    case "attempt-void": {
      const { upload, server, attempt } = occurrence;
      return { timeMs, kind: "outcome", ...names(upload), server, attempt, message: "void: given back as it was" };
    }
    case "stored": {
      const { upload, receipt, attempt, tookMs } = occurrence;
      const { server, sizeBytes, storedName } = receipt;
      const sha256 = Buffer.from(receipt.sha256).toString("hex");
      const message = cut(`as ${storedName} after ${Math.round(tookMs)} ms`);
      return { timeMs, kind: "stored", ...names(upload), server, attempt, sizeBytes, sha256, message };
    }
    case "rejected": {
      const { upload, rejection } = occurrence;
      return { timeMs, kind: "dead", ...names(upload), message: cut(`${rejection.reason}: ${rejection.message}`) };
    }
    case "dead-letter": {
      const { upload, action } = occurrence;
      const message = action === "discarded" ? "the dead letter, by an operator" : undefined;
      return { timeMs, kind: action, ...names(upload), message };
    }
    case "found":
      return { timeMs, kind: "found", ...names(occurrence.upload), server: occurrence.server };
    case "unsettled": {
      const message = `not asked yet: ${occurrence.servers.join(", ")}`;
      return { timeMs, kind: "unsettled", ...names(occurrence.upload), message: cut(message) };
    }
    case "extra-copy": {
      const { requestNumber, uploadId, server, discarded, result } = occurrence;
      const kind = discarded ? "discarded" : "checked";
      return { timeMs, kind, requestNumber: String(requestNumber), uploadId, server, message: cut(result) };
    }
    case "recovered": {
      const { what, files, upload } = occurrence;
      const message = upload ? `was ${what}` : `${files} that were ${what}`;
      return { timeMs, kind: "recovered", ...(upload && names(upload)), message };
    }
    case "quarantined": {
      const { what, detail, requestNumber } = occurrence;
      const number = requestNumber === undefined ? undefined : String(requestNumber);
      return { timeMs, kind: "quarantined", requestNumber: number, message: cut(`${what}: ${detail}`) };
    }
    case "claimed":
      return { timeMs, kind: "claimed", ...names(occurrence.upload), server: occurrence.server };
    case "claim-ended": {
      const { upload, server, end } = occurrence;
      return { timeMs, kind: "claim-ended", ...names(upload), server, message: claimEnds[end] };
    }
    case "server-changed": {
      const { server, change, detail, by } = occurrence;
      return { timeMs, kind: "server", server, client: by, message: cut(`${change}: ${detail}`) };
    }
    case "config-reloaded": {
      const { file, by, changed, needRestart } = occurrence;
      const restart = needRestart.length > 0 ? `; after a restart: ${needRestart.join("; ")}` : "";
      const message = `${file} reloaded: ${changed.join("; ") || "nothing changed"}${restart}`;
      return { timeMs, kind: "config", client: by, message: cut(message) };
    }
    case "config-refused": {
      const { file, by, problems } = occurrence;
      return { timeMs, kind: "config", client: by, message: cut(`${file} refused: ${problems.join("; ")}`) };
    }
    case "not-admitted":
    case "stream-ended":
    case "server-health":
    case "server-overload":
    case "server-announced":
    case "server-claimed":
    case "claims-ended":
    case "name-unresolved":
    case "name-resolved":
    case "server-ejected":
    case "fault":
      return undefined;
  }
}

const claimEnds: Record<ClaimEnd, string> = {
  delivered: "delivered",
  "stored-elsewhere": "stored by another server",
  "given-up": "the file was given up",
  unreachable: "given back: the server cannot be talked to, or its lease has expired",
  expired: "given back: held for too long",
  refused: "given back: the server refused the file",
  lost: "given back: the server's answer was lost",
};

function names({ requestNumber, uploadId, name }: UploadName): Pick<AuditFacts, "requestNumber" | "uploadId" | "name"> {
  return { requestNumber: String(requestNumber), uploadId, name };
}

function cut(text: string): string {
  return text.length <= maxMessageLength ? text : `${text.slice(0, maxMessageLength)}…`;
}
