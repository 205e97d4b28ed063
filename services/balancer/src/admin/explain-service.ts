import {
  Choice,
  ChoiceReason,
  type ExplainRequest,
  type ExplainResponse,
  type Candidate as WireCandidate,
} from "@bilancia/proto/gen/admin";
import { toTimestamp } from "@bilancia/proto/time";
import type { handleUnaryCall } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import { type Candidate, candidates, type PickReason, type PickRecord } from "../domain/pick.js";
import type { Observer } from "../ports/observer.js";
import type { PickMemory } from "../ports/pick-log.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { toAttempt } from "../wire/attempt-message.js";
import { fittingPage } from "../wire/paging.js";
import { unaryCall } from "../wire/unary-call.js";
import { uploadStateCodes } from "../wire/upload-state.js";
import { stateCodes } from "./server-service.js";

/** The part of the `Admin` service that tells why files went where they went. */
export class ExplainService {
  readonly handlers: { explain: handleUnaryCall<ExplainRequest, ExplainResponse> };

  constructor(uploads: Pick<UploadDirectory, "find">, picks: PickMemory, observer: Observer) {
    this.handlers = {
      explain: unaryCall(observer, ({ requestNumber }: ExplainRequest) => {
        if (requestNumber === 0n) throw new BilanciaError("INVALID_HEADER", "expected a request_number from 1; came 0");
        const upload = uploads.find({ requestNumber });
        if (!upload) throw new BilanciaError("UNKNOWN_UPLOAD", "no upload has this number");
        const { description, state, attempts } = upload;
        return {
          requestNumber,
          uploadId: description.uploadId,
          name: description.name,
          state: uploadStateCodes[state.kind],
          attempts: attempts.map(toAttempt),
          choices: lastFitting(picks.find(requestNumber)).map(toChoice),
          keptChoices: picks.count,
          keptSince: picks.sinceMs === undefined ? undefined : toTimestamp(picks.sinceMs),
        };
      }),
    };
  }
}

/** The last choices, as many as fit into one message. */
function lastFitting(records: readonly PickRecord[]): PickRecord[] {
  const newestFirst = [...records].reverse();
  return fittingPage(newestFirst, (record) => Choice.encode(toChoice(record)).finish().length).reverse();
}

const reasonCodes: Record<PickReason, ChoiceReason> = {
  policy: ChoiceReason.CHOICE_REASON_POLICY,
  spilled: ChoiceReason.CHOICE_REASON_SPILLED,
  claimed: ChoiceReason.CHOICE_REASON_CLAIMED,
  may_hold: ChoiceReason.CHOICE_REASON_MAY_HOLD,
};

function toChoice(record: PickRecord): Choice {
  const { attempt, pool, dueSinceMs, server, reason, sizeBytes } = record;
  return {
    attempt,
    at: toTimestamp(pool.atMs),
    waitedMs: BigInt(Math.max(0, Math.round(pool.atMs - dueSinceMs))),
    server,
    reason: reasonCodes[reason],
    policy: pool.policy,
    sizeBytes: sizeBytes === undefined ? undefined : BigInt(sizeBytes),
    candidates: candidates(record).map(toCandidate),
  };
}

function toCandidate({ state, inFlightBytes, maxFiles, ...same }: Candidate): WireCandidate {
  return {
    ...same,
    state: stateCodes[state.kind],
    stateSince: state.sinceMs === undefined ? undefined : toTimestamp(state.sinceMs),
    stateReason: state.reason,
    inFlightBytes: BigInt(inFlightBytes),
    maxInFlightFiles: maxFiles,
  };
}
