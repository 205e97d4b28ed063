import { RefuseReason } from "@bilancia/proto/gen/storage";
import { jsonErrorPosition } from "./json-error.js";
import { jsonExtent } from "./json-extent.js";
import { Refusal } from "./refusal.js";

/** How deep arrays and objects may be nested in a document, itself included. */
const maxDepth = 1_000;
/** Most values in a document, itself included. Each costs memory and time, however short it is: a few bytes become a hundred. */
const maxValuesCount = 1_000_000;

/** What is counted in a text document. */
export interface DocumentStats {
  /** Letters `a` and `A` in the content. */
  readonly lettersA: number;
  /** Characters of the content, in Unicode code points. */
  readonly characters: number;
}

/**
 * Reads a text document: a JSON object in UTF-8 with the strings `title` and `content`, or `titolo` and `contenuto`.
 * It may have other fields, within limits that are looked at before anything is made of the text.
 *
 * @param chunks the document's bytes, in order
 * @throws Refusal NOT_A_TEXT_DOCUMENT, with the reason in words
 */
export function readTextDocument(chunks: readonly Uint8Array[]): DocumentStats {
  let text: string;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
  } catch {
    throw notADocument("it is not valid UTF-8");
  }
  throwIfTooMuch(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notADocument(`it is not JSON: ${describePosition(text, jsonErrorPosition(text))}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw notADocument(`it is ${describeType(value)}, not a JSON object`);
  const fields = value as Record<string, unknown>;
  stringField(fields, "title", "titolo");
  return count(stringField(fields, "content", "contenuto"));
}

function throwIfTooMuch(text: string): void {
  const { depth, valuesCount } = jsonExtent(text);
  if (depth > maxDepth) throw notADocument(`it is nested ${depth} deep`, `at most ${maxDepth}`);
  if (valuesCount > maxValuesCount) throw notADocument(`it has ${valuesCount} values`, `at most ${maxValuesCount}`);
}

function stringField(fields: Record<string, unknown>, name: string, italianName: string): string {
  const key = Object.hasOwn(fields, name) ? name : italianName;
  if (!Object.hasOwn(fields, key)) throw notADocument(`it has no "${name}" (nor "${italianName}")`);
  const value = fields[key];
  if (typeof value !== "string") throw notADocument(`its "${key}" is ${describeType(value)}, not a string`);
  return value;
}

function count(content: string): DocumentStats {
  let lettersA = 0;
  let characters = content.length;
  for (let at = 0; at < content.length; at++) {
    const unit = content.charCodeAt(at);
    if (unit === 0x61 || unit === 0x41) lettersA++;
    // A pair of surrogates is one character; its second half does not count.
    else if (unit >= 0xdc00 && unit <= 0xdfff && at > 0 && (content.charCodeAt(at - 1) & 0xfc00) === 0xd800)
      characters--;
  }
  return { lettersA, characters };
}

function describeType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function describePosition(text: string, position: number): string {
  if (text === "") return "it is empty";
  let line = 1;
  let lineStart = 0;
  for (;;) {
    const lineEnd = text.indexOf("\n", lineStart);
    if (lineEnd < 0 || lineEnd >= position) break;
    line++;
    lineStart = lineEnd + 1;
  }
  const column = position - lineStart + 1;
  const where = `at position ${position} (line ${line}, column ${column})`;
  const found = text.codePointAt(position);
  return found === undefined
    ? `it ends too early, ${where}`
    : `unexpected ${JSON.stringify(String.fromCodePoint(found))} ${where}`;
}

function notADocument(why: string, expected = 'a JSON object with the strings "title" and "content"'): Refusal {
  return new Refusal(
    RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT,
    `not a text document: ${why}; expected ${expected}`,
  );
}
