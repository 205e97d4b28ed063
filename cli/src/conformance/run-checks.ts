import { callUnary } from "@bilancia/proto/unary";
import { fromServiceError } from "../client/service-error.js";
import type { Check, Need } from "./check.js";
import { Probe, type ProbeOptions } from "./probe.js";
import { NotImplemented, Violation } from "./violation.js";

/** What came of a check. */
export interface CheckReport {
  readonly check: Check;
  readonly result: "holds" | "fails" | "not implemented" | "not tested";
  readonly tookMs: number;
  /** Why it does not hold, what is not implemented, or what is needed; for people. Empty where it holds. */
  readonly message: string;
}

/**
 * Tries the checks one after another.
 *
 * @throws UnreachableError when nothing answers at the address at all
 */
export async function* runChecks(checks: readonly Check[], options: ProbeOptions): AsyncGenerator<CheckReport> {
  await greet(options);
  for (const check of checks) {
    const startedMs = performance.now();
    const [result, message] = await outcomeOf(check, options);
    yield { check, result, message, tookMs: performance.now() - startedMs };
  }
}

async function outcomeOf(check: Check, options: ProbeOptions): Promise<[CheckReport["result"], string]> {
  if (check.needs && !isGiven(check.needs, options)) return ["not tested", `give --${check.needs}`];
  const probe = new Probe(options);
  try {
    await check.run(probe);
    return ["holds", ""];
  } catch (error) {
    if (error instanceof NotImplemented) return ["not implemented", error.message];
    const words = error instanceof Error ? error.message : String(error);
    return ["fails", error instanceof Violation ? words : `the check could not go on: ${words}`];
  } finally {
    await probe.close();
  }
}

function isGiven(need: Need, { restart, overloadFiles, busyFiles }: ProbeOptions): boolean {
  const given = { "restart-cmd": restart, "overload-files": overloadFiles, "busy-files": busyFiles };
  return given[need] !== undefined;
}

/** Whether there is a server at all: without one, every check would fail for the same reason. */
async function greet(options: ProbeOptions): Promise<void> {
  const probe = new Probe(options);
  try {
    await callUnary<object, unknown>(probe.storage.load.bind(probe.storage), {}, options.timeoutMs);
  } catch (error) {
    throw fromServiceError(error, options.address, "the storage server");
  } finally {
    await probe.close();
  }
}
