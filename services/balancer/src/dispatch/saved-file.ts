import { fileNameProblem } from "@bilancia/proto/file-name";
import type { SaveSaved, StoredFile } from "@bilancia/proto/gen/storage";
import { maxFileBytes, maxNameBytes, sha256Bytes } from "@bilancia/proto/limits";
import { sameBytes } from "../domain/upload.js";
import type { Delivery, SavedFile } from "../ports/outbox.js";
import type { SaveOutcome } from "./save-stream.js";
import { toTextStats } from "./text-stats.js";

/** `<request_number>_<name>`, with `~` and 8 digits of the origin where that name was taken. */
const maxStoredNameBytes = 20 + 1 + maxNameBytes + 9;

const noStats = { lettersA: 0, characters: 0 };

/** What a server says of a file that it holds, in the balancer's own words. */
export function toSavedFile({ storedName, sizeBytes, sha256, textStats }: SaveSaved | StoredFile): SavedFile {
  return { storedName, sizeBytes: Number(sizeBytes), sha256, textStats: toTextStats(textStats) };
}

/** Why an answer came too early to be so, in the words of `savedProblem`: a file can be stored before its end has been sent only where it was stored before. */
export function earlyProblem({ saved, early }: SaveOutcome & { kind: "saved" }): string | undefined {
  return early && !saved.duplicate ? "no duplicate (expected one, before the end of the file was sent)" : undefined;
}

/** What is known of a file that was sent. */
export interface SentFile extends Partial<Pick<Delivery, "sizeBytes" | "sha256">> {
  /** How many bytes of it have come, where its length is not known. */
  readonly receivedBytes?: number | undefined;
}

/** Why what a server says of a file cannot be so, for people; `undefined` where it can. What a server says is kept and written down, so it is looked at first. */
export function savedProblem(
  { storedName, sizeBytes, sha256, textStats }: SavedFile,
  sent: SentFile,
): string | undefined {
  if (sha256.length !== sha256Bytes) return `a SHA-256 of ${sha256.length} bytes (expected ${sha256Bytes})`;
  if (sent.sha256 && !sameBytes(sent.sha256, sha256)) return "another SHA-256 than the client";
  const nameBytes = Buffer.byteLength(storedName);
  if (nameBytes > maxStoredNameBytes) return `a name of ${nameBytes} bytes (expected at most ${maxStoredNameBytes})`;
  const nameProblem = fileNameProblem(storedName, maxStoredNameBytes);
  if (nameProblem) return `a name that no file may have (${nameProblem})`;
  if (sizeBytes > maxFileBytes) return `${sizeBytes} bytes (expected at most ${maxFileBytes})`;
  if (sent.sizeBytes !== undefined && sent.sizeBytes !== sizeBytes) {
    return `${sizeBytes} bytes (expected ${sent.sizeBytes})`;
  }
  if (sent.receivedBytes !== undefined && sizeBytes < sent.receivedBytes) {
    return `${sizeBytes} bytes (expected at least ${sent.receivedBytes})`;
  }
  const { lettersA, characters } = textStats ?? noStats;
  if (lettersA > maxFileBytes) return `${lettersA} letters a (expected at most ${maxFileBytes})`;
  if (characters > maxFileBytes) return `${characters} characters (expected at most ${maxFileBytes})`;
  return undefined;
}
