/**
 * Where a text stops being JSON (RFC 8259), as an index into it; its length when it only ends too early. For error messages: V8's own say it
 * for some mistakes only, and differently from version to version. For a text that is JSON the answer has no meaning.
 */
export function jsonErrorPosition(text: string): number {
  const closers: string[] = [];
  let at = 0;
  let expected: "value" | "first value" | "key" | "first key" | "colon" | "next" = "value";
  const space = /[ \t\r\n]*/y;
  for (;;) {
    space.lastIndex = at;
    space.test(text);
    at = space.lastIndex;
    const character = text[at];
    if (character === undefined) return at;
    if (expected === "colon") {
      if (character !== ":") return at;
      expected = "value";
      at++;
    } else if (character === closers.at(-1) && expected !== "value" && expected !== "key") {
      closers.pop();
      expected = "next";
      at++;
    } else if (expected === "next") {
      if (character !== "," || closers.length === 0) return at;
      expected = closers.at(-1) === "}" ? "key" : "value";
      at++;
    } else if (character === '"') {
      const end = stringEnd(text, at);
      if (!end.closed) return end.at;
      expected = expected.endsWith("key") ? "colon" : "next";
      at = end.at;
    } else if (expected.endsWith("key")) {
      return at;
    } else if (character === "{" || character === "[") {
      closers.push(character === "{" ? "}" : "]");
      expected = character === "{" ? "first key" : "first value";
      at++;
    } else {
      const scalar = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
      scalar.lastIndex = at;
      if (!scalar.test(text)) return at;
      expected = "next";
      at = scalar.lastIndex;
    }
  }
}

/** Where a string that begins at `start` ends, or where it goes wrong. */
function stringEnd(text: string, start: number): { at: number; closed: boolean } {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === 0x22) return { at: at + 1, closed: true };
    if (character < 0x20) return { at, closed: false };
    if (character === 0x5c) {
      const escaped = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y;
      escaped.lastIndex = at + 1;
      if (!escaped.test(text)) return { at: at + 1, closed: false };
      at = escaped.lastIndex - 1;
    }
  }
  return { at: text.length, closed: false };
}
