import { maxLabelKeyBytes, maxLabels, maxLabelValueBytes } from "@bilancia/proto/limits";

/** Names that no server may take. */
export const hostileNames: readonly string[] = [
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

/** Names that every server takes. */
export const goodNames: readonly string[] = [
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

/** As many labels as there may be, as long as they may be. */
export const fullLabels: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: maxLabels }, (_, at) => [
    `${at}`.padStart(maxLabelKeyBytes, "k"),
    "v".repeat(maxLabelValueBytes),
  ]),
);
