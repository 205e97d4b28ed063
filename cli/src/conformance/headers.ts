import { Holding, Kind, RefuseReason, type SaveHeader } from "@bilancia/proto/gen/storage";
import type { Check } from "./check.js";
import { expectRefusal } from "./identity.js";
import { expectThat, Violation } from "./violation.js";

const hostileNames: readonly string[] = [
  "",
  ".",
  "..",
  "../escape.txt",
  "../../../../etc/cron.d/escape",
  "/etc/escape.txt",
  "a/b.txt",
  "a\\b.txt",
  "..\\escape.txt",
  ".hidden",
  "-rf",
  "zero\u0000.txt",
  "line\nbreak.txt",
  "escape\u001b[2J.txt",
  "delete\u007f.txt",
  "c1\u0085.txt",
  "nosj\u202eexe.json",
  "isolate\u2066.txt",
  "mark\u200f.txt",
  "decomposed e\u0301.txt",
  "CON",
  "nul.txt",
  "Lpt1.log",
  `${"n".repeat(197)}.txt`,
  `${"\u00e9".repeat(100)}x`,
];

const goodNames: readonly string[] = [
  "a",
  "two words.txt",
  "\u00fcbersicht.txt",
  "\u65e5\u672c\u8a9e.txt",
  "\u{1f4c4} note.md",
  "many.dots.in.it.tar.gz",
  "no-extension",
  "console.txt",
  'it\'s $HOME; `quoted` & "more" %s.txt',
  `${"n".repeat(196)}.txt`,
  "\u00e9".repeat(100),
];

const document = (fields: object) => Buffer.from(JSON.stringify(fields));

/** What a header says: names, ids, kinds. */
export const headerChecks: readonly Check[] = [
  {
    name: "names.hostile",
    level: "required",
    rule: "The server checks the name again (NFC, 1-200 bytes of UTF-8, no path separators, control or bidirectional formatting characters, no leading . or -, not a Windows device name) and refuses with INVALID_NAME.",
    async run(probe) {
      for (const name of hostileNames) {
        const file = probe.file(20, { name });
        const outcome = await probe.deliver(file);
        const isRight = outcome.$case === "refused" && outcome.value.reason === RefuseReason.REFUSE_REASON_INVALID_NAME;
        if (!isRight)
          throw new Violation(
            `the name ${JSON.stringify(name)} is answered with ${outcome.$case}; expected refused INVALID_NAME`,
          );
        await probe.expectHolding(file, Holding.HOLDING_NONE);
      }
    },
  },
  {
    name: "names.good",
    level: "required",
    rule: "Names that keep to the rules are taken, whatever their script and their punctuation, up to 200 bytes.",
    async run(probe) {
      for (const name of goodNames) {
        const outcome = await probe.deliver(probe.file(20, { name }));
        expectThat(
          outcome.$case === "saved" && outcome.value.storedName.endsWith(`_${name}`),
          `the name ${JSON.stringify(name)} is answered with ${JSON.stringify(outcome.$case === "refused" ? outcome.value.message : outcome.$case)}; expected saved under that name`,
        );
      }
    },
  },
  {
    name: "headers.invalid",
    level: "required",
    rule: "A header with a missing or wrong field (origin, request_number, upload_id, attempt, sha256) is refused with INVALID_HEADER.",
    async run(probe) {
      const wrong: readonly Partial<SaveHeader>[] = [
        { origin: "" },
        { origin: "not hexadecimal" },
        { origin: probe.origin.toUpperCase().replace(/^./, "A") },
        { requestNumber: 0n },
        { uploadId: "" },
        { uploadId: "not-a-uuid" },
        { attempt: 0 },
        { sha256: Buffer.alloc(31) },
      ];
      for (const fields of wrong)
        await expectRefusal(probe, probe.file(20).with(fields), RefuseReason.REFUSE_REASON_INVALID_HEADER);
    },
  },
  {
    name: "headers.descriptive",
    level: "required",
    rule: "content_type, labels and an unspecified kind (treated as KIND_BINARY) are taken as they are.",
    async run(probe) {
      const labels = Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`key-${at}`, "v".repeat(256)]));
      await probe.store(probe.file(20, { contentType: "application/x-sample", labels }));
      await probe.store(probe.file(20, { kind: Kind.KIND_UNSPECIFIED }));
    },
  },
  {
    name: "documents.counted",
    level: "required",
    rule: "For KIND_TEXT_DOCUMENT the server counts the letters a and A and the characters (Unicode code points) of the content.",
    async run(probe) {
      const samples: readonly [Buffer, bigint, bigint][] = [
        [document({ title: "t", content: "A banana, \u00e0 la carte \u{1f34c}" }), 6n, 22n],
        [document({ titolo: "t", contenuto: "" }), 0n, 0n],
        [document({ title: "aaa", content: "x".repeat(300_000), more: [1] }), 0n, 300_000n],
      ];
      for (const [data, letters, characters] of samples) {
        const file = probe.file(data, { kind: Kind.KIND_TEXT_DOCUMENT, name: "document.json" });
        const { textStats } = await probe.store(file);
        const came = textStats ? `${textStats.lettersA} and ${textStats.characters}` : "absent";
        const expected = `${letters} and ${characters}`;
        expectThat(came === expected, `letters_a and characters are ${came}; expected ${expected}`);
      }
    },
  },
  {
    name: "documents.refused",
    level: "required",
    rule: "What is said to be a KIND_TEXT_DOCUMENT and is none is refused with NOT_A_TEXT_DOCUMENT.",
    async run(probe) {
      const bad: readonly Buffer[] = [
        Buffer.from(""),
        Buffer.from("not JSON"),
        Buffer.from("[]"),
        document({ title: "t" }),
        document({ title: 1, content: "text" }),
        Buffer.concat([Buffer.from('{"title":"t","content":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
      ];
      for (const data of bad) {
        const file = probe.file(data, { kind: Kind.KIND_TEXT_DOCUMENT });
        await expectRefusal(probe, file, RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT);
        await probe.expectHolding(file, Holding.HOLDING_NONE);
      }
    },
  },
];
