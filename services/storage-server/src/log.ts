import { gatheredLines, type TextSink } from "@bilancia/proto/gathered-lines";
import { LogSink } from "@bilancia/proto/log-sink";
import { type Logger, pino } from "pino";
import { prettyFactory } from "pino-pretty";

/** Makes the log of a process: for people on a terminal, one JSON object a line elsewhere. */
export function createLog(level: string): Logger {
  const base = null;
  // As plain numbers: pino writes BigInts through its slow way, for each file that is saved.
  const serializers = { requestNumber: Number };
  const stdout = new LogSink(1, "standard output");
  const lines = gatheredLines([process.stdout.isTTY ? readable(stdout) : stdout]);
  return pino({ level, base, serializers, timestamp: isoTime }, lines);
}

/** Lines for people: made in this thread, for another one would lose the last of them when the process ends. */
function readable(terminal: TextSink): TextSink {
  const pretty = prettyFactory({ translateTime: "SYS:HH:MM:ss.l" });
  return { write: (text) => terminal.write(text.replace(/.+\n/g, (line) => pretty(line))) };
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
