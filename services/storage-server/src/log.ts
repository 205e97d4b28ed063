import { consoleLog } from "@bilancia/proto/console-log";
import { gatheredLines } from "@bilancia/proto/gathered-lines";
import { type Logger, pino } from "pino";

/** Makes the log of a process: for people on a terminal, one JSON object a line elsewhere. */
export function createLog(level: string): Logger {
  const base = null;
  // As plain numbers: pino writes BigInts through its slow way, for each file that is saved.
  const serializers = { requestNumber: Number };
  return pino({ level, base, serializers, timestamp: isoTime }, gatheredLines([consoleLog()]));
}

let lastMs = 0;
let lastTime = "";

/** What pino's own does, but made once for all lines of a millisecond. */
function isoTime(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastTime = `,"time":"${new Date(nowMs).toISOString()}"`;
  }
  return lastTime;
}
