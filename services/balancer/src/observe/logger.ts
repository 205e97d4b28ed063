import { gatheredLines, type TextSink } from "@bilancia/proto/gathered-lines";
import { LogSink } from "@bilancia/proto/log-sink";
import { describeError } from "@bilancia/proto/system-error";
import { type Logger, pino } from "pino";
import { prettyFactory } from "pino-pretty";

/** Where the log goes, and from which level on. */
export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** A file that is appended to; empty for none. */
  readonly file: string;
}

/**
 * The balancer's logger: readable lines on a terminal, JSON elsewhere, and JSON in the log file. Lines are written in the background, many at
 * a time; what is left is written when the process ends. What cannot be written is dropped (`LogSink`).
 *
 * @throws Error when the file cannot be opened
 */
export function createLogger({ level, file }: LogConfig): Logger {
  // Not by pino's transports: handing each line to another thread costs more than writing it.
  const stdout = new LogSink(1, "standard output");
  const console = process.stdout.isTTY ? readable(stdout) : stdout;
  if (file === "") return pino({ level }, gatheredLines([console]));
  return pino({ level }, gatheredLines([console, openFile(file)]));
}

function openFile(file: string): TextSink {
  try {
    return LogSink.toFile(file);
  } catch (error) {
    throw new Error(`cannot use the log file ${file}: ${describeError(error)} (log.file)`, { cause: error });
  }
}

/** Lines for people: made in this thread, for another one would lose the last of them when the process ends. */
function readable(terminal: TextSink): TextSink {
  const pretty = prettyFactory({ ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" });
  return { write: (text) => terminal.write(text.replace(/.+\n/g, (line) => pretty(line))) };
}
