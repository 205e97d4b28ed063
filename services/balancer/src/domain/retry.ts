import type { Rejection } from "./errors.js";

/** When to try a delivery again, and when to give up. */
export interface RetryPolicy {
  /** Attempts that were refused or lost before an upload is given up. */
  readonly maxAttempts: number;
  /** Time from the first byte until an upload is given up. */
  readonly deadlineMs: number;
  /** Upper bound of the first delay; it doubles with each attempt. */
  readonly baseDelayMs: number;
  /** Upper bound of every delay. */
  readonly maxDelayMs: number;
}

/** What went wrong, in the words the decision needs. */
export type Failure =
  /** No room at that moment: another server is tried, and nothing is counted. */
  | { readonly kind: "busy" }
  /** The answer never came; the file may be there. */
  | { readonly kind: "lost"; readonly message: string }
  /** This server cannot store it, another one may. */
  | { readonly kind: "refused"; readonly message: string }
  /** No server will store it: the file itself is at fault. */
  | { readonly kind: "unacceptable"; readonly rejection: Rejection };

export type RetryDecision =
  | { readonly kind: "again"; readonly delayMs: number }
  | { readonly kind: "give-up"; readonly rejection: Rejection };

/**
 * Decides what follows a failed attempt: exponential backoff with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param failures attempts refused or lost so far, this one included
 * @param ageMs time since the upload was received
 * @param random a number from 0 up to, not including, 1
 */
export function decideRetry(
  failure: Failure,
  failures: number,
  ageMs: number,
  policy: RetryPolicy,
  random: () => number,
): RetryDecision {
  if (failure.kind === "unacceptable") return { kind: "give-up", rejection: failure.rejection };
  const late = overdue(ageMs, policy, describe(failure));
  if (late) return { kind: "give-up", rejection: late };
  if (failure.kind === "busy") return { kind: "again", delayMs: 0 };
  if (failures >= policy.maxAttempts) {
    const message = `not delivered after ${failures} attempts; last: ${describe(failure)}`;
    return { kind: "give-up", rejection: { reason: "ATTEMPTS_EXHAUSTED", message } };
  }
  const ceilingMs = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (failures - 1));
  return { kind: "again", delayMs: Math.floor(random() * ceilingMs) };
}

/**
 * Why an upload is given up for its age; `undefined` while it is not.
 *
 * @param last what has kept it from being delivered last
 */
export function overdue(
  ageMs: number,
  { deadlineMs }: Pick<RetryPolicy, "deadlineMs">,
  last: string,
): Rejection | undefined {
  if (ageMs < deadlineMs) return undefined;
  return { reason: "DEADLINE_EXCEEDED", message: `not delivered within ${deadlineMs} ms; last: ${last}` };
}

function describe(failure: Exclude<Failure, { kind: "unacceptable" }>): string {
  return failure.kind === "busy" ? "the server was busy" : failure.message;
}
