import {
  RefuseReason,
  refuseReasonToJSON,
  type SaveHeader,
  type SaveResponse,
  type SaveResult,
  type SaveSaved,
} from "@bilancia/proto/gen/storage";
import type { StorageClient } from "@bilancia/proto/services";
import { StreamSession } from "../stream-session.js";
import { Violation } from "../violation.js";

/** A final answer to a file, or the going on of one that does not fit into a message. */
export type Outcome = NonNullable<SaveResult["outcome"]>;

/** One `Save` stream, seen from the balancer. Files are known by their request numbers. */
export class SaveSession extends StreamSession<SaveHeader, SaveResponse, bigint, Outcome> {
  /** The overload bit of each message, in order. */
  readonly overloadBits: boolean[] = [];

  /** @param timeoutMs how long to wait for an answer */
  constructor(client: StorageClient, timeoutMs: number) {
    super(client.save(), timeoutMs);
  }

  /** @throws Violation when the file is not stored */
  async saved(requestNumber: bigint): Promise<SaveSaved> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case === "saved") return outcome.value;
    throw new Violation(
      `request number ${requestNumber} was answered with ${describeOutcome(outcome)}; expected saved`,
    );
  }

  /** @throws Violation when the file is not refused, or not for one of the reasons */
  async refused(requestNumber: bigint, ...reasons: RefuseReason[]): Promise<void> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case === "refused" && reasons.includes(outcome.value.reason)) return;
    const expected = reasons.map(reasonName).join(" or ");
    throw new Violation(
      `request number ${requestNumber} was answered with ${describeOutcome(outcome)}; expected refused ${expected}`,
    );
  }

  protected override keyOf({ requestNumber }: SaveHeader): bigint {
    return requestNumber;
  }

  protected override nameOf(requestNumber: bigint): string {
    return `request number ${requestNumber}`;
  }

  protected override receive({ results, overloaded }: SaveResponse): void {
    this.overloadBits.push(overloaded);
    for (const { requestNumber, outcome } of results) {
      if (!outcome) this.stray(`a result for request number ${requestNumber} has no outcome`);
      else if (outcome.$case === "accept") this.heard(requestNumber);
      else this.settle(requestNumber, outcome);
    }
  }
}

/** An answer in words, for messages. */
function describeOutcome(outcome: Outcome): string {
  switch (outcome.$case) {
    case "saved":
      return `saved, duplicate: ${outcome.value.duplicate}`;
    case "refused":
      return `refused ${reasonName(outcome.value.reason)} (${outcome.value.message})`;
    default:
      return outcome.$case;
  }
}

function reasonName(reason: RefuseReason): string {
  return (RefuseReason[reason] ?? refuseReasonToJSON(reason)).replace("REFUSE_REASON_", "");
}
