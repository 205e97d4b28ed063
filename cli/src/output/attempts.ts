import { type Attempt, attemptOutcomeToJSON } from "@bilancia/proto/gen/balancer";
import type { Fact } from "./facts.js";
import { type Json, jsonTime } from "./json.js";

/** An attempt as a line for people. */
export function attemptFact(attempt: Attempt): Fact {
  const why = attempt.message ? `: ${attempt.message}` : "";
  return [`attempt ${attempt.number}`, `${attempt.server}, ${outcomeName(attempt)}${why}`];
}

/** An attempt for programs. */
export function attemptJson(attempt: Attempt): Json {
  return {
    number: attempt.number,
    server: attempt.server,
    outcome: outcomeName(attempt),
    message: attempt.message,
    startedAt: jsonTime(attempt.startedAt),
  };
}

function outcomeName({ outcome }: Attempt): string {
  return attemptOutcomeToJSON(outcome).replace("ATTEMPT_OUTCOME_", "").replace("UNSPECIFIED", "running").toLowerCase();
}
