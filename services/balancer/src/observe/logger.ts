import { consoleLog } from "@bilancia/proto/console-log";
import { gatheredLines, type TextSink } from "@bilancia/proto/gathered-lines";
import { LogSink } from "@bilancia/proto/log-sink";
import { describeError } from "@bilancia/proto/system-error";
import { type Logger, pino } from "pino";

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
  const sinks = file === "" ? [consoleLog()] : [consoleLog(), openFile(file)];
  return pino({ level }, gatheredLines(sinks));
}

function openFile(file: string): TextSink {
  try {
    return LogSink.toFile(file);
  } catch (error) {
    throw new Error(`cannot use the log file ${file}: ${describeError(error)} (log.file)`, { cause: error });
  }
}
