import { randomUUID } from "node:crypto";
import { RejectReason, UploadState } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { expectStatus } from "../probe.js";
import { expectEqual, expectThat } from "../violation.js";
import { type BalancerProbe, expectSameReceipt, known, type UploadKey } from "./balancer-probe.js";
import { reasonName } from "./upload-file-session.js";

const unknownKeys = (): UploadKey[] => [
  { $case: "uploadId", value: randomUUID() },
  { $case: "requestNumber", value: 2n ** 63n },
];
const malformedKeys: readonly (UploadKey | undefined)[] = [
  undefined,
  { $case: "uploadId", value: "" },
  { $case: "uploadId", value: "not-a-uuid" },
  { $case: "requestNumber", value: 0n },
];

/** `QueryUpload` and `CancelUpload`. */
export const queryChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "query.unknown",
    level: "required",
    rule: "QueryUpload of an unknown upload ends with NOT_FOUND.",
    async run(probe) {
      for (const key of unknownKeys()) await expectStatus(probe.query(key), status.NOT_FOUND, "QueryUpload");
    },
  },
  {
    name: "query.malformed",
    level: "required",
    rule: "QueryUpload without an upload id or number, or with a malformed one, ends with INVALID_ARGUMENT.",
    async run(probe) {
      for (const key of malformedKeys) await expectStatus(probe.query(key), status.INVALID_ARGUMENT, "QueryUpload");
    },
  },
  {
    name: "query.stored",
    level: "required",
    rule: "QueryUpload tells of a stored upload, by either of its names: ids, name, length, state, attempts, receipt, time.",
    async run(probe) {
      const file = probe.file(5_000, { name: "asked for.bin" });
      const receipt = await probe.store(file);
      const { requestNumber } = receipt;
      for (const key of [
        { $case: "uploadId", value: file.uploadId },
        { $case: "requestNumber", value: requestNumber },
      ] satisfies UploadKey[]) {
        const answer = await known("QueryUpload", probe.query(key));
        const { uploadId, name, sizeBytes, state, attempts, receivedAt } = answer;
        const told = `${uploadId}, ${answer.requestNumber}, ${name}, ${sizeBytes}, ${UploadState[state]}`;
        expectEqual(
          told,
          `${file.uploadId}, ${requestNumber}, ${file.header.name}, 5000, UPLOAD_STATE_STORED`,
          "what QueryUpload tells",
        );
        expectSameReceipt(answer.receipt, receipt);
        expectEqual(attempts.at(-1)?.server, receipt.server, "the server of the last attempt");
        expectThat(receivedAt !== undefined, "received_at is absent");
      }
    },
  },
  {
    name: "query.receiving",
    level: "required",
    rule: "QueryUpload tells of an unfinished upload that it is UPLOAD_STATE_RECEIVING: a known upload that is still empty has 0 persisted bytes, and a length that was not announced is absent.",
    async run(probe) {
      const session = probe.open();
      for (const sizeBytes of [undefined, 300_000n]) {
        const file = probe.file(300_000, { sizeBytes });
        const [header] = file.parts();
        if (header) await session.send(header);
        await session.accepted(file);
        const answer = await probe.expectState(file, UploadState.UPLOAD_STATE_RECEIVING);
        expectEqual(answer.persistedBytes, 0n, "persisted_bytes");
        expectEqual(answer.sizeBytes, sizeBytes, "size_bytes");
        expectThat(answer.receipt === undefined, "there is a receipt of what is not stored");
      }
      session.cancel();
    },
  },
  {
    name: "cancel.drops",
    level: "required",
    rule: "CancelUpload drops an upload that is not stored: its client hears rejected CANCELLED, QueryUpload says UPLOAD_STATE_DEAD, the same id again is rejected. It is safe to repeat.",
    async run(probe) {
      const file = probe.file(500_000);
      const session = probe.open();
      for (const part of file.parts(100_000).slice(0, 3)) await session.send(part);
      await session.accepted(file);
      await probe.cancelFile(file);
      await session.rejected(file, RejectReason.REJECT_REASON_CANCELLED);
      const next = probe.file(100);
      await session.send(next.whole());
      await session.stored(next);
      await session.close();
      await probe.cancelFile(file);
      const { rejection } = await probe.expectState(file, UploadState.UPLOAD_STATE_DEAD);
      expectEqual(reasonName(rejection?.reason ?? 0), "CANCELLED", "the reason that QueryUpload tells");
      const again = probe.open();
      await again.sendParts(file.parts(), file.uploadId);
      await again.rejected(file, RejectReason.REJECT_REASON_CANCELLED);
      await again.close();
    },
  },
  {
    name: "cancel.stored",
    level: "required",
    rule: "CancelUpload of a stored upload ends with FAILED_PRECONDITION, and the upload stays stored.",
    async run(probe) {
      const file = probe.file(700);
      const receipt = await probe.store(file);
      await expectStatus(probe.cancelFile(file), status.FAILED_PRECONDITION, "CancelUpload of a stored upload");
      expectSameReceipt((await probe.queryFile(file)).receipt, receipt);
    },
  },
  {
    name: "cancel.unknown",
    level: "required",
    rule: "CancelUpload ends with NOT_FOUND for an unknown upload, and with INVALID_ARGUMENT without an upload id or number, or with a malformed one.",
    async run(probe) {
      for (const key of unknownKeys()) await expectStatus(probe.cancel(key), status.NOT_FOUND, "CancelUpload");
      for (const key of malformedKeys) await expectStatus(probe.cancel(key), status.INVALID_ARGUMENT, "CancelUpload");
    },
  },
];
