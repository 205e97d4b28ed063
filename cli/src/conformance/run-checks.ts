import { fromServiceError } from "../client/service-error.js";
import type { Check, Kit, Need } from "./check.js";
import type { Probe, ProbeOptions } from "./probe.js";
import { NotImplemented, Violation } from "./violation.js";

/** What came of a check. */
export interface CheckReport {
  readonly check: Pick<Check<Probe>, "name" | "level" | "rule">;
  readonly result: "holds" | "fails" | "not implemented" | "not tested";
  readonly tookMs: number;
  /** Why it does not hold, what is not implemented, or what is needed; for people. Empty where it holds. */
  readonly message: string;
}

/**
 * Tries checks of a kit one after another.
 *
 * @throws UnreachableError when nothing answers at the address at all
 */
export async function* runChecks<P extends Probe>(
  kit: Kit<P>,
  checks: readonly Check<P>[],
  options: ProbeOptions,
): AsyncGenerator<CheckReport> {
  await greet(kit, options);
  for (const check of checks) {
    const startedMs = performance.now();
    const [result, message] = await outcomeOf(kit, check, options);
    yield { check, result, message, tookMs: performance.now() - startedMs };
  }
}

async function outcomeOf<P extends Probe>(
  kit: Kit<P>,
  check: Check<P>,
  options: ProbeOptions,
): Promise<[CheckReport["result"], string]> {
  if (check.needs && !isGiven(check.needs, options)) return ["not tested", `give --${check.needs}`];
  const probe = kit.open(options);
  try {
    await check.run(probe);
    return ["holds", ""];
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    if (error instanceof NotImplemented)
      return check.level === "optional" ? ["not implemented", words] : ["fails", `${words} is not implemented`];
    return ["fails", error instanceof Violation ? words : `the check could not go on: ${words}`];
  } finally {
    await probe.close();
  }
}

function isGiven(need: Need, options: ProbeOptions): boolean {
  const given: Record<Need, unknown> = {
    "restart-cmd": options.restart,
    "overload-files": options.overloadFiles,
    "busy-files": options.busyFiles,
    "max-file-bytes": options.maxFileBytes,
    "queue-files": options.queueFiles,
  };
  return given[need] !== undefined;
}

/** Whether there is a server at all: without one, every check would fail for the same reason. */
async function greet(kit: Kit, options: ProbeOptions): Promise<void> {
  const probe = kit.open(options);
  try {
    await probe.roundTrip();
  } catch (error) {
    throw fromServiceError(error, options.address, kit.subject);
  } finally {
    await probe.close();
  }
}
