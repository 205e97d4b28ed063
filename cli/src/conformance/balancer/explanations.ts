import { randomUUID } from "node:crypto";
import { RejectReason, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { expectStatus } from "../probe.js";
import { expectEqual, expectThat } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";
import { reasonName } from "./upload-file-session.js";

const badHeaders: readonly [Partial<UploadHeader>, RejectReason][] = [
  [{ name: "../escape" }, RejectReason.REJECT_REASON_INVALID_NAME],
  [{ uploadId: "not-a-uuid" }, RejectReason.REJECT_REASON_INVALID_UPLOAD_ID],
  [{ sha256: Buffer.alloc(31) }, RejectReason.REJECT_REASON_INVALID_HEADER],
];

/** That whoever is refused learns why, and what to do. */
export const explanationChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "rejections.explained",
    level: "required",
    rule: "rejected tells why, for programs and for people, whether the same upload may succeed later without a change, and when, only where it may; what is rejected by its header has no request number.",
    async run(probe) {
      const session = probe.open();
      for (const [fields, reason] of badHeaders) {
        const file = probe.file(20, fields);
        await session.send(file.whole());
        expectEqual((await session.rejected(file, reason)).retryable, false, `retryable, of ${reasonName(reason)},`);
        expectEqual((await session.final(file.uploadId)).requestNumber, 0n, "the request number of a bad header");
      }
      const wrongSize = probe.file(20);
      await session.send(wrongSize.whole({ sizeBytes: 21n, sha256: undefined }));
      const sized = await session.rejected(wrongSize, RejectReason.REJECT_REASON_SIZE_MISMATCH);
      expectEqual(sized.retryable, false, "retryable, of SIZE_MISMATCH,");
      const damaged = probe.file(20);
      await session.send({ ...damaged.whole(), crc32c: 1 });
      const checked = await session.rejected(damaged, RejectReason.REJECT_REASON_CHECKSUM_MISMATCH);
      expectEqual(checked.retryable, true, "retryable, of CHECKSUM_MISMATCH,");
      await session.close();
    },
  },
  {
    name: "statuses.explained",
    level: "required",
    rule: "Calls that end with an error carry REASON: message as their details.",
    async run(probe) {
      const session = probe.open();
      await session.send({ offset: 0, data: Buffer.from("no header") });
      const { details } = await session.endsWith(status.INVALID_ARGUMENT);
      expectExplained(details, "PROTOCOL_VIOLATION");
      const file = probe.file(20);
      await probe.store(file);
      const unknown = probe.query({ $case: "uploadId", value: randomUUID() });
      expectExplained(await expectStatus(unknown, status.NOT_FOUND, "QueryUpload"), "UNKNOWN_UPLOAD");
      const malformed = probe.query(undefined);
      expectExplained(await expectStatus(malformed, status.INVALID_ARGUMENT, "QueryUpload"), "INVALID_HEADER");
      const late = probe.cancelFile(file);
      expectExplained(await expectStatus(late, status.FAILED_PRECONDITION, "CancelUpload"), "NOT_CANCELLABLE");
    },
  },
];

function expectExplained(details: string, reason: string): void {
  const isRight = details.startsWith(`${reason}: `) && details.length > `${reason}: `.length;
  expectThat(isRight, `the details are ${JSON.stringify(details)}; expected ${reason}: and a message`);
}
