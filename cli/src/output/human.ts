/** Numbers as people read them. */

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in bytes, for example `12.3 KiB`. */
export function humanBytes(bytes: number | bigint): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A span of time in milliseconds, for example `12 ms`, `3.4 s`, `5 min`, `2 h`, `9 d`. */
export function humanDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** A rate, for example `12.3 MiB/s`; empty when there is nothing to divide by. */
export function humanRate(bytes: number, ms: number): string {
  return ms > 0 ? `${humanBytes((bytes * 1000) / ms)}/s` : "";
}

/** A number with its noun, for example `1 file`, `1,200 files`. */
export function counted(count: number | bigint, noun: string): string {
  return `${humanCount(count)} ${noun}${Number(count) === 1 ? "" : "s"}`;
}

/** A whole number with separators, for example `1,200`. */
export function humanCount(count: number | bigint): string {
  return count.toLocaleString("en-US");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text that came from elsewhere, made safe for a terminal: nothing in it moves the cursor or reorders the line. */
export function printable(text: string): string {
  return text.replace(unprintable, "�");
}
