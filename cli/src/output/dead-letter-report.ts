import type { DeadLetter } from "@bilancia/proto/gen/admin";
import { fromTimestamp } from "@bilancia/proto/time";
import { attemptFact, attemptJson } from "./attempts.js";
import type { Fact } from "./facts.js";
import { humanBytes, humanCount, humanDuration } from "./human.js";
import { hex, type Json, jsonNumber, jsonTime, reasonName } from "./json.js";
import type { Column } from "./table.js";

/** The columns of a list of dead letters. */
export function deadLetterColumns(nowMs: number): readonly Column<DeadLetter>[] {
  return [
    { title: "request", align: "right", text: ({ requestNumber }) => String(requestNumber) },
    { title: "name", text: ({ name }) => name, minWidth: 12 },
    { title: "size", align: "right", text: ({ sizeBytes }) => humanBytes(sizeBytes), dropOrder: 3 },
    {
      title: "given up",
      align: "right",
      text: ({ givenUpAt }) =>
        givenUpAt ? `${humanDuration(Math.max(0, nowMs - fromTimestamp(givenUpAt)))} ago` : "-",
      dropOrder: 2,
    },
    { title: "attempts", align: "right", text: ({ attemptCount }) => humanCount(attemptCount), dropOrder: 4 },
    { title: "why", text: reasonOf, minWidth: 12 },
    { title: "message", text: ({ rejection }) => rejection?.message || "-", minWidth: 12, dropOrder: 1 },
  ];
}

/** All that is known of a dead letter, for people. */
export function deadLetterFacts(letter: DeadLetter): Fact[] {
  return [
    ["request", String(letter.requestNumber)],
    ["upload id", letter.uploadId],
    ["name", letter.name],
    ["size", humanBytes(letter.sizeBytes)],
    ["sha256", letter.sha256 ? hex(letter.sha256) : "not known"],
    ["client", letter.client],
    ["received", jsonTime(letter.receivedAt) ?? "-"],
    ["given up", jsonTime(letter.givenUpAt) ?? "-"],
    ["why", `${reasonOf(letter)}: ${letter.rejection?.message ?? ""}`],
    ["attempts", humanCount(letter.attemptCount)],
    ...letter.attempts.map(attemptFact),
  ];
}

/** A dead letter as an object for scripts. Every key is always there. */
export function deadLetterJson(letter: DeadLetter): Json {
  return {
    requestNumber: jsonNumber(letter.requestNumber),
    uploadId: letter.uploadId,
    name: letter.name,
    sizeBytes: jsonNumber(letter.sizeBytes),
    sha256: letter.sha256 ? hex(letter.sha256) : null,
    client: letter.client,
    receivedAt: jsonTime(letter.receivedAt),
    givenUpAt: jsonTime(letter.givenUpAt),
    reason: reasonOf(letter),
    message: letter.rejection?.message ?? "",
    attemptCount: letter.attemptCount,
    attempts: letter.attempts.map(attemptJson),
  };
}

function reasonOf({ rejection }: DeadLetter): string {
  return rejection ? reasonName(rejection) : "unknown";
}
