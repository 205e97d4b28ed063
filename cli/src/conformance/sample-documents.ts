import type { TextStats } from "@bilancia/proto/gen/storage";
import { expectThat } from "./violation.js";

/** A text document, and what a server finds in it. */
interface CountedDocument extends TextStats {
  readonly data: Buffer;
}

const document = (fields: object) => Buffer.from(JSON.stringify(fields));

/** Text documents of all kinds. */
export const countedDocuments: readonly CountedDocument[] = [
  {
    data: document({ title: "t", content: "A banana, \u00e0 la carte \u{1f34c}" }),
    lettersA: 6n,
    characters: 22n,
  },
  { data: document({ titolo: "t", contenuto: "" }), lettersA: 0n, characters: 0n },
  {
    data: document({ title: "aaa", content: "x".repeat(300_000), more: [1] }),
    lettersA: 0n,
    characters: 300_000n,
  },
];

/** What is no text document. */
export const badDocuments: readonly Buffer[] = [
  Buffer.from(""),
  Buffer.from("not JSON"),
  Buffer.from("[]"),
  document({ title: "t" }),
  document({ title: 1, content: "text" }),
  Buffer.concat([Buffer.from('{"title":"t","content":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
];

/** @throws Violation when a document has been counted wrongly */
export function expectCounts(came: TextStats | undefined, { lettersA, characters }: CountedDocument): void {
  const words = came ? `${came.lettersA} and ${came.characters}` : "absent";
  const expected = `${lettersA} and ${characters}`;
  expectThat(words === expected, `letters_a and characters are ${words}; expected ${expected}`);
}
