import { RefuseReason } from "@bilancia/proto/gen/storage";
import { jsonErrorPosition } from "./json-error.js";
import { Refusal } from "./refusal.js";

/** What is counted in a text document. */
export interface DocumentStats {
  /** Letters `a` and `A` in the content. */
  readonly lettersA: number;
  /** Characters of the content, in Unicode code points. */
  readonly characters: number;
}

/**
 * Reads a text document: a JSON object in UTF-8 with the strings `title` and `content`, or `titolo` and `contenuto`.
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
  const before = text.slice(0, position);
  const line = before.split("\n").length;
  const column = position - before.lastIndexOf("\n");
  const where = `at position ${position} (line ${line}, column ${column})`;
  const found = text.codePointAt(position);
  return found === undefined
    ? `it ends too early, ${where}`
    : `unexpected ${JSON.stringify(String.fromCodePoint(found))} ${where}`;
}

function notADocument(why: string): Refusal {
  return new Refusal(
    RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT,
    `not a text document: ${why}; expected a JSON object with the strings "title" and "content"`,
  );
}
