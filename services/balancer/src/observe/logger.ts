import { gatheredLines } from "@bilancia/proto/gathered-lines";
import { LogSink } from "@bilancia/proto/log-sink";
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
 */
export function createLogger({ level, file }: LogConfig): Logger {
  // Not by pino's transports, but for the terminal: handing each line to another thread costs more than writing it.
  const console = process.stdout.isTTY
    ? pino.transport({
        target: "pino-pretty",
        options: { ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" },
      })
    : new LogSink(1, "standard output");
  if (file === "") return pino({ level }, gatheredLines([console]));
  return pino({ level }, gatheredLines([console, LogSink.toFile(file)]));
}
