import { Presets, SingleBar } from "cli-progress";
import type { UploadPlace, UploadProgress } from "../client/upload-types.js";
import { counted, humanBytes, humanCount, humanDuration, humanRate, printable } from "./human.js";
import type { Screen } from "./screen.js";

/** Most often that a plain line is written, in milliseconds. */
const lineIntervalMs = 2_000;

/** What is going to be sent, as far as it is known before. */
export interface ExpectedWork {
  readonly files?: number | undefined;
  readonly bytes?: number | undefined;
}

/** Shows how an upload gets on. Whoever makes it stops it. */
export interface ProgressView {
  update(progress: UploadProgress): void;
  /** Where the file stands that has waited longest; it is shown until the next call. */
  place(place: UploadPlace | undefined): void;
  /** Writes a line without spoiling the view. */
  note(line: string): void;
  stop(): void;
}

/** A bar on a terminal, now and then a plain line elsewhere. `nowMs` is a clock. */
export function progressView(screen: Screen, expected: ExpectedWork, nowMs: () => number): ProgressView {
  return screen.side.isTTY ? barView(screen, expected, nowMs) : lineView(screen, expected, nowMs);
}

/** Shows nothing but notes. */
export function silentView(screen: Screen): ProgressView {
  return { update: () => {}, place: () => {}, note: (line) => screen.remark(line), stop: () => {} };
}

function barView(screen: Screen, expected: ExpectedWork, nowMs: () => number): ProgressView {
  const columns = screen.side.columns || 80;
  const bar = new SingleBar(
    {
      stream: screen.side,
      format: columns >= 70 ? "{bar} {percentage}%  {words}" : "{percentage}%  {words}",
      barsize: Math.max(8, Math.min(30, columns - 60)),
      clearOnComplete: true,
      hideCursor: true,
      fps: 10,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  const startedAtMs = nowMs();
  bar.start(1, 0, { words: "" });
  let waiting: UploadPlace | undefined;
  let last: UploadProgress | undefined;
  const draw = (progress: UploadProgress) => {
    bar.setTotal(Math.max(1, expected.bytes ?? progress.foundBytes));
    const line = words(progress, expected, nowMs() - startedAtMs);
    bar.update(progress.sentBytes, { words: waiting ? `${line}  ${placeWords(waiting)}` : line });
  };
  return {
    update(progress) {
      last = progress;
      draw(progress);
    },
    place(place) {
      waiting = place;
      if (last) draw(last);
    },
    note(line) {
      // Over the bar, which draws itself again below.
      screen.side.write(`\r\x1b[K${line}\n`);
    },
    stop() {
      bar.stop();
    },
  };
}

function lineView(screen: Screen, expected: ExpectedWork, nowMs: () => number): ProgressView {
  const startedAtMs = nowMs();
  let lastLineAtMs = startedAtMs;
  if (expected.files !== undefined) {
    const size = expected.bytes === undefined ? "" : `, ${humanBytes(expected.bytes)}`;
    screen.remark(`sending ${counted(expected.files, "file")}${size}`);
  }
  return {
    update(progress) {
      const now = nowMs();
      if (now - lastLineAtMs < lineIntervalMs) return;
      lastLineAtMs = now;
      screen.remark(words(progress, expected, now - startedAtMs));
    },
    place(place) {
      const now = nowMs();
      if (!place || now - lastLineAtMs < lineIntervalMs) return;
      lastLineAtMs = now;
      screen.remark(`${printable(place.name)} waits: ${placeWords(place)}`);
    },
    note: (line) => screen.remark(line),
    stop: () => {},
  };
}

function words(progress: UploadProgress, expected: ExpectedWork, elapsedMs: number): string {
  const bytes = `${humanBytes(progress.sentBytes)} of ${humanBytes(expected.bytes ?? progress.foundBytes)}`;
  const files = `${humanCount(progress.endedFiles)} of ${counted(expected.files ?? progress.foundFiles, "file")}`;
  return [bytes, humanRate(progress.sentBytes, elapsedMs), files].filter((part) => part !== "").join("  ");
}

/** A place in line, for people. */
export function placeWords({ position, bytesAhead, startsInMs }: Omit<UploadPlace, "name">): string {
  const start = startsInMs === undefined ? "nothing moves" : `about ${humanDuration(startsInMs)}`;
  return `number ${humanCount(position)} in line, ${humanBytes(bytesAhead)} ahead, ${start}`;
}
