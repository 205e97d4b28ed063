import CliTable from "cli-table3";
import { printable } from "./human.js";
import type { Screen, Style } from "./screen.js";

/** A column of a table over `Row`s. */
export interface Column<Row> {
  readonly title: string;
  readonly align?: "left" | "right";
  readonly text: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** The fewest characters it may be cut to on a narrow terminal. Default: it is not cut. */
  readonly minWidth?: number;
  /** On a terminal that is too narrow still, columns are left out, the highest number first. Default: it stays. */
  readonly dropOrder?: number;
}

interface Sized<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  width: number;
}

const gap = "  ";

/** Draws a table, fitted to the screen: long cells are cut in their middle first, then columns are left out. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], screen: Screen): string {
  const sized = fit(
    columns.map((column) => {
      const cells = rows.map((row) => printable(column.text(row)));
      const width = Math.max(displayWidth(column.title), ...cells.map(displayWidth));
      return { column, cells, width };
    }),
    screen.columns,
  );
  const table = new CliTable({
    head: sized.map(({ column, width }) => screen.paint("bold", shorten(column.title, width))),
    colAligns: sized.map(({ column }) => column.align ?? "left"),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    chars: borderless,
  });
  rows.forEach((row, index) => {
    table.push(
      sized.map(({ column, cells, width }) => {
        const cell = shorten(cells[index] ?? "", width);
        const style = column.style?.(row);
        return style ? screen.paint(style, cell) : cell;
      }),
    );
  });
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

const borderless = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: gap,
};

function fit<Row>(sized: Sized<Row>[], available: number | undefined): Sized<Row>[] {
  if (available === undefined) return sized;
  let kept = sized;
  for (;;) {
    let excess = kept.reduce((sum, { width }) => sum + width, gap.length * (kept.length - 1)) - available;
    if (excess <= 0) return kept;
    const flexible = kept.filter(({ column }) => column.minWidth !== undefined);
    const slack = flexible.reduce((sum, one) => sum + spare(one), 0);
    const droppable = kept.filter(({ column }) => column.dropOrder !== undefined);
    if (slack >= excess || droppable.length === 0) {
      // One character at a time from the widest, so that the columns end up alike.
      for (; excess > 0 && flexible.some((one) => spare(one) > 0); excess--) {
        const widest = flexible.filter((one) => spare(one) > 0).reduce((a, b) => (b.width > a.width ? b : a));
        widest.width--;
      }
      return kept;
    }
    const last = droppable.reduce((a, b) => ((b.column.dropOrder ?? 0) > (a.column.dropOrder ?? 0) ? b : a));
    kept = kept.filter((one) => one !== last);
  }
}

function spare<Row>({ column, width }: Sized<Row>): number {
  return Math.max(0, width - (column.minWidth ?? width));
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** How many columns a text takes on a terminal: two for wide East Asian characters and emoji (UAX #11). */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1;
  return width;
}

/** A text cut in its middle, where names differ least, to a width. */
export function shorten(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  const parts = [...graphemes.segment(text)].map(({ segment }) => segment);
  const keptBehind = takeWidth(parts.toReversed(), Math.floor((width - 1) / 2)).toReversed();
  const keptBefore = takeWidth(parts, width - 1 - displayWidth(keptBehind.join("")));
  return `${keptBefore.join("")}…${keptBehind.join("")}`;
}

function takeWidth(parts: readonly string[], width: number): string[] {
  const taken: string[] = [];
  let used = 0;
  for (const part of parts) {
    used += displayWidth(part);
    if (used > width) break;
    taken.push(part);
  }
  return taken;
}
