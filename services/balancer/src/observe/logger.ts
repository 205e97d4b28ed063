import { type Logger, pino } from "pino";

/** Where the log goes, and from which level on. */
export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** A file that is appended to; empty for none. */
  readonly file: string;
}

/** Lines are gathered up to so many bytes, or milliseconds: a call of the system for each would cost more than the line. */
const inBackground = { sync: false, minLength: 8 * 1024, periodicFlush: 50 };

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
    : pino.destination({ ...inBackground, dest: 1 });
  if (file === "") return pino({ level }, console);
  const log = pino.destination({ ...inBackground, dest: file, mkdir: true, append: true });
  return pino(
    { level },
    pino.multistream([
      { level, stream: console },
      { level, stream: log },
    ]),
  );
}
