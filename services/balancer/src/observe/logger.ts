import { gatheredLines } from "@bilancia/proto/gathered-lines";
import { type Logger, pino } from "pino";

/** Where the log goes, and from which level on. */
export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** A file that is appended to; empty for none. */
  readonly file: string;
}

/**
 * The balancer's logger: readable lines on a terminal, JSON elsewhere, and JSON in the log file. Lines are written in the background, many at
 * a time; what is left is written when the process ends.
 */
export function createLogger({ level, file }: LogConfig): Logger {
  // Not by pino's transports, but for the terminal: handing each line to another thread costs more than writing it.
  const console = process.stdout.isTTY
    ? pino.transport({
        target: "pino-pretty",
        options: { ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" },
      })
    : pino.destination({ sync: false, dest: 1 });
  if (file === "") return pino({ level }, gatheredLines([console]));
  return pino(
    { level },
    gatheredLines([console, pino.destination({ sync: false, dest: file, mkdir: true, append: true })]),
  );
}
