/** Where text goes. */
export interface TextSink {
  write(text: string): unknown;
}

/** Lines are gathered up to so many characters, or milliseconds. */
const gatheredLength = 128 * 1024;
const gatherMs = 50;

/** One listener for all, since a process may have many logs. */
const flushes = new Set<() => void>();
const flushAll = () => {
  for (const flush of flushes) flush();
};

/**
 * Passes the lines of a log on, many at once: each sink looks at all the text that it is given, and calls the system for it, which costs more
 * than a line for a line. What is left is passed on when the process ends.
 *
 * @param sinks made before this is called, so that they write what they have after it
 */
export function gatheredLines(sinks: readonly TextSink[]): { write(line: string): void } {
  let lines: string[] = [];
  let length = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (length === 0) return;
    const text = lines.join("");
    lines = [];
    length = 0;
    for (const sink of sinks) sink.write(text);
  };
  if (flushes.size === 0) process.prependListener("exit", flushAll);
  flushes.add(flush);
  return {
    write(line) {
      lines.push(line);
      length += line.length;
      if (length >= gatheredLength) flush();
      else timer ??= setTimeout(flush, gatherMs);
    },
  };
}
