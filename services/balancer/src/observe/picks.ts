import { cannotUse } from "@bilancia/proto/system-error";
import type { Observer } from "../ports/observer.js";
import type { PickLog, PickMemory } from "../ports/pick-log.js";
import { PickFile } from "./pick-file.js";
import { PickHistory } from "./pick-history.js";

/** Where choices are taken down. */
export interface PickSettings {
  /** Choices that are kept in memory; 0 for none. */
  readonly keep: number;
  /** Where all of them are written; empty for nowhere. */
  readonly file: string;
  /** Size from which the file begins anew, in bytes. */
  readonly maxFileBytes: number;
}

/** Choices, taken down as the settings want it. */
export interface Picks {
  /** `undefined` where nobody wants to know. */
  readonly log: PickLog | undefined;
  readonly memory: PickMemory;
  /** Writes what waits. Never rejects. */
  close(): Promise<void>;
}

const noPicks: PickMemory = { find: () => [], count: 0, sinceMs: undefined };

/** @throws Error when the file cannot be opened */
export async function openPicks({ keep, file, maxFileBytes }: PickSettings, faults: Observer): Promise<Picks> {
  const history = keep > 0 ? new PickHistory(keep) : undefined;
  const trace = file === "" ? undefined : await openTrace(file, maxFileBytes, faults);
  return {
    log: history && trace ? inBoth(history, trace) : (history ?? trace),
    memory: history ?? noPicks,
    close: async () => trace?.close(),
  };
}

async function openTrace(file: string, maxFileBytes: number, faults: Observer): Promise<PickFile> {
  try {
    return await PickFile.open(file, maxFileBytes, faults);
  } catch (error) {
    throw cannotUse(`picks.file ${file}`, error);
  }
}

function inBoth(history: PickLog, trace: PickLog): PickLog {
  return {
    picked(pick) {
      history.picked(pick);
      trace.picked(pick);
    },
    ended: (end) => trace.ended(end),
  };
}
