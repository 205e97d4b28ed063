import { createRequire } from "node:module";
import type { TextSink } from "./gathered-lines.js";
import { LogSink } from "./log-sink.js";

/** Standard output for the lines of a log: readable ones on a terminal, as they come elsewhere. */
export function consoleLog(): TextSink {
  const stdout = new LogSink(1, "standard output");
  return process.stdout.isTTY ? readable(stdout) : stdout;
}

/** Lines for people: made in this thread, for another one would lose the last of them when the process ends. */
function readable(terminal: TextSink): TextSink {
  // Loaded for a terminal only: it is some thirty files.
  const { prettyFactory } = createRequire(import.meta.url)("pino-pretty") as typeof import("pino-pretty");
  const pretty = prettyFactory({ ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" });
  return { write: (text) => terminal.write(text.replace(/.+\n/g, (line) => pretty(line))) };
}
