import { OverloadCause } from "@bilancia/proto/gen/storage";

/** Two marks for one figure, so that the overload bit does not flap: it is over from `high` on, and no longer once it is back at `low`. */
export interface WaterMarks {
  readonly high: number;
  readonly low: number;
}

/** When a server is overloaded. A figure without marks is not looked at. */
export interface OverloadLimits {
  /** Growth of resident memory since the start, in percentage points of the machine's memory. */
  readonly memoryPercent?: WaterMarks | undefined;
  /** How late timers fire, in milliseconds. */
  readonly eventLoopMs?: WaterMarks | undefined;
  /** Files in progress. */
  readonly files?: WaterMarks | undefined;
  /** Free disk, in percent. Here less is worse: over below `high`, no longer from `low` on, and `low` is the larger one. */
  readonly freeDiskPercent?: WaterMarks | undefined;
}

/** The figures of one moment. A figure that could not be read is absent and counts as harmless. */
export interface Readings {
  readonly memoryPercent: number;
  readonly eventLoopMs: number;
  readonly files: number;
  readonly freeDiskPercent?: number | undefined;
}

/** Which limits are over now, given which were over before. Pure. */
export function overloadCauses(
  limits: OverloadLimits,
  before: readonly OverloadCause[],
  readings: Readings,
): OverloadCause[] {
  const causes: OverloadCause[] = [];
  const check = (cause: OverloadCause, marks: WaterMarks | undefined, reading: number | undefined) => {
    if (!marks || reading === undefined) return;
    const over = before.includes(cause) ? reading > marks.low : reading >= marks.high;
    if (over) causes.push(cause);
  };
  check(OverloadCause.OVERLOAD_CAUSE_MEMORY, limits.memoryPercent, readings.memoryPercent);
  check(OverloadCause.OVERLOAD_CAUSE_EVENT_LOOP_DELAY, limits.eventLoopMs, readings.eventLoopMs);
  check(OverloadCause.OVERLOAD_CAUSE_IN_FLIGHT_FILES, limits.files, readings.files);
  const { freeDiskPercent: disk } = limits;
  if (disk && readings.freeDiskPercent !== undefined) {
    const wasOver = before.includes(OverloadCause.OVERLOAD_CAUSE_FREE_DISK);
    if (readings.freeDiskPercent < (wasOver ? disk.low : disk.high))
      causes.push(OverloadCause.OVERLOAD_CAUSE_FREE_DISK);
  }
  return causes;
}

/** A cause in words, for logs. */
export function describeCause(cause: OverloadCause): string {
  return (OverloadCause[cause] ?? String(cause)).replace("OVERLOAD_CAUSE_", "").toLowerCase();
}
