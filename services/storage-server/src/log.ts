import { type Logger, pino } from "pino";

/** Makes the log of a process: for people on a terminal, one JSON object a line elsewhere. */
export function createLog(level: string): Logger {
  const base = null;
  // As plain numbers: pino writes BigInts through its slow way, for each file that is saved.
  const serializers = { requestNumber: Number };
  if (process.stdout.isTTY) return pino({ level, base, serializers, transport: { target: "pino-pretty" } });
  return pino({ level, base, serializers, timestamp: pino.stdTimeFunctions.isoTime });
}
