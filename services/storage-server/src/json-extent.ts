/** How much there is in a JSON text. */
export interface JsonExtent {
  /** How deep arrays and objects are nested in each other: 0 where there are none. */
  readonly depth: number;
  /** All values, at any depth: each array, object, string, number, `true`, `false` and `null`. Names are none. */
  readonly valuesCount: number;
}

/**
 * Finds out how much there is in a JSON text (RFC 8259) without reading it: one pass over its characters, which keeps nothing of them. For a
 * text that is not JSON the answer is that of something alike.
 */
export function jsonExtent(text: string): JsonExtent {
  let depth = 0;
  let deepest = 0;
  // The outermost one. Inside of an array or object, the first value comes with the opening, and each other one with a comma.
  let valuesCount = 1;
  let isJustOpened = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x20: // space
      case 0x09: // tab
      case 0x0a: // line feed
      case 0x0d: // carriage return
        continue;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        isJustOpened = false;
        continue;
    }
    if (isJustOpened) valuesCount++;
    isJustOpened = false;
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
      case 0x5b: // [
        depth++;
        if (depth > deepest) deepest = depth;
        isJustOpened = true;
        break;
      case 0x2c: // ,
        valuesCount++;
        break;
      case 0x22: // "
        at = stringEnd(text, at);
    }
  }
  return { depth: deepest, valuesCount };
}

/** Where the string that begins at `start` has its closing quote; the text's length where it has none. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === 0x22) return at;
    // What is escaped, a quote perhaps, is part of the string.
    if (character === 0x5c) at++;
  }
  return text.length;
}
