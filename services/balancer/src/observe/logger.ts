import { type Logger, pino, type TransportTargetOptions } from "pino";

/** Where the log goes, and from which level on. */
export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** A file that is appended to; empty for none. */
  readonly file: string;
}

/** The balancer's logger: readable lines on a terminal, JSON elsewhere, and JSON in the log file. */
export function createLogger({ level, file }: LogConfig): Logger {
  const console: TransportTargetOptions = process.stdout.isTTY
    ? { target: "pino-pretty", level, options: { ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" } }
    : { target: "pino/file", level, options: { destination: 1 } };
  const targets = [console];
  if (file !== "")
    targets.push({ target: "pino/file", level, options: { destination: file, mkdir: true, append: true } });
  return pino({ level }, pino.transport({ targets }));
}
