import { humanCount } from "./human.js";
import { type Json, jsonNumber } from "./json.js";

/** Most files that are named in words. */
const namedLimit = 10;

/** A file that the balancer has, or part of it, when an upload is stopped. */
export interface HeldFile {
  readonly uploadId: string;
  /** `undefined` where the balancer has not told it. */
  readonly requestNumber: bigint | undefined;
  readonly name: string;
  readonly sizeBytes: number | undefined;
  /** Whether all of it may be there: it is then delivered without its client. */
  readonly whole: boolean;
}

/** Which files may still be stored, and how to find out; empty where there is none. */
export function heldWords(files: readonly HeldFile[]): string {
  const names = files
    .filter(({ whole }) => whole)
    .map(({ requestNumber, uploadId }) => (requestNumber === undefined ? uploadId : String(requestNumber)));
  const [first] = names;
  if (first === undefined) return "";
  const more = names.length - namedLimit;
  const list = names.slice(0, namedLimit).join(", ") + (more > 0 ? ` and ${humanCount(more)} more` : "");
  return `; may still be stored: ${list}; lb-cli status ${first} tells`;
}

/** One such file as an object for scripts, with the keys of `uploadJson`. */
export function heldJson({ requestNumber, uploadId, name, sizeBytes, whole }: HeldFile): Json {
  return {
    requestNumber: requestNumber === undefined ? null : jsonNumber(requestNumber),
    uploadId,
    name,
    sizeBytes: sizeBytes === undefined ? null : jsonNumber(sizeBytes),
    server: null,
    storedName: null,
    sha256: null,
    attempts: null,
    state: "interrupted",
    message: whole ? "it may still be stored" : "the balancer has a part of it",
  };
}
