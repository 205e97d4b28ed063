import { type Attempt, AttemptOutcome as OutcomeCode } from "@bilancia/proto/gen/balancer";
import { toTimestamp } from "@bilancia/proto/time";
import type { AttemptOutcome, AttemptRecord } from "../domain/upload.js";

const outcomeCodes: Record<AttemptOutcome, OutcomeCode> = {
  saved: OutcomeCode.ATTEMPT_OUTCOME_SAVED,
  busy: OutcomeCode.ATTEMPT_OUTCOME_BUSY,
  refused: OutcomeCode.ATTEMPT_OUTCOME_REFUSED,
  lost: OutcomeCode.ATTEMPT_OUTCOME_LOST,
};

/** An attempt as the wire tells of it. */
export function toAttempt({ number, server, outcome, message, startedAtMs }: AttemptRecord): Attempt {
  return {
    number,
    server,
    outcome: outcome ? outcomeCodes[outcome] : OutcomeCode.ATTEMPT_OUTCOME_UNSPECIFIED,
    message: message ?? "",
    startedAt: toTimestamp(startedAtMs),
  };
}
