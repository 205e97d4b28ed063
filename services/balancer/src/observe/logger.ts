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
    : pino.destination({ dest: 1, sync: false });
  if (file === "") return pino({ level }, console);
  const log = pino.destination({ dest: file, mkdir: true, append: true, sync: false });
  return pino(
    { level },
    pino.multistream([
      { level, stream: console },
      { level, stream: log },
    ]),
  );
}
