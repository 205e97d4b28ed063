import { type Logger, pino } from "pino";

/** Makes the log of a process: for people on a terminal, one JSON object a line elsewhere. */
export function createLog(level: string): Logger {
  const base = null;
  if (process.stdout.isTTY) return pino({ level, base, transport: { target: "pino-pretty" } });
  return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime });
}
