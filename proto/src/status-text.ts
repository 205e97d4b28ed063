import { toUSVString } from "node:util";

/** Most characters of a call's details. Each takes up to 9 bytes in its trailers, of which HTTP/2 sends no more than 64 KiB: longer ones go missing, and the call never ends. */
const maxChars = 4_000;
/** Of a name all that is allowed, 200 bytes, and of an id far more. */
const maxShortChars = 200;

/** At most so many characters of a text, from its beginning, and no half of a surrogate pair at the end. */
export function firstChars(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : text.slice(0, maxChars).replace(/[\ud800-\udbff]$/, "");
}

/** The beginning of a text of somebody's of whom nothing is known: enough to tell what it is, and no more in answers and logs. */
export function shortText(text: string, maxChars = maxShortChars): string {
  return text.length <= maxChars ? text : `${firstChars(text, maxChars)}…`;
}

/** What a call that fails says in its details, as it can be sent: not too long, and without half of a surrogate pair, on which grpc-js throws. */
export function statusText(text: string): string {
  return toUSVString(text.length <= maxChars ? text : `${text.slice(0, maxChars - 1)}…`);
}
