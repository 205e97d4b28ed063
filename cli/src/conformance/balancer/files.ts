import { UploadState } from "@bilancia/proto/gen/balancer";
import { isUuid } from "@bilancia/proto/header-rules";
import { maxPartsPerMessage } from "@bilancia/proto/limits";
import type { Check } from "../check.js";
import { fileLengthChecks } from "../file-lengths.js";
import { emptyFinish } from "../sample-file.js";
import { expectEqual, expectThat } from "../violation.js";
import { type BalancerProbe, expectSameReceipt } from "./balancer-probe.js";

/** Files of all lengths, and what is said of them. */
export const fileChecks: readonly Check<BalancerProbe>[] = [
  ...fileLengthChecks,
  {
    name: "files.unannounced",
    level: "required",
    rule: "size_bytes, sha256 and crc32c are optional, in the header and in finish.",
    async run(probe) {
      for (const size of [0, 5_000]) {
        const file = probe.file(size);
        const session = probe.open();
        await session.send({ ...file.whole(emptyFinish), crc32c: undefined });
        await session.stored(file);
        await session.close();
      }
    },
  },
  {
    name: "files.full-message",
    level: "required",
    rule: "A message is at most 1 MiB and carries at most 64 parts; that many are taken.",
    async run(probe) {
      const files = Array.from({ length: maxPartsPerMessage }, () => probe.file(15_000));
      const session = probe.open();
      await session.send(...files.map((file) => file.whole()));
      for (const file of files) await session.stored(file);
      await session.close();
    },
  },
  {
    name: "files.without-id",
    level: "required",
    rule: "Left empty, upload_id is chosen by the balancer: a UUID that its events and the receipt tell.",
    async run(probe) {
      const session = probe.open();
      const file = probe.file(100, { uploadId: "" });
      await session.send(file.whole());
      const { uploadId } = await session.stored(file);
      expectThat(isUuid(uploadId), `the chosen upload_id is ${JSON.stringify(uploadId)}; expected a UUID`);
      await session.close();
    },
  },
  {
    name: "files.receipt",
    level: "required",
    rule: "A receipt tells where a file landed: request number, upload id, name, server, stored name, length, SHA-256, attempts, time. QueryUpload tells the same one.",
    async run(probe) {
      const files = [probe.file(100, { name: "report 2026.final.pdf" }), probe.file(600_000)];
      const numbers = new Set<bigint>();
      for (const file of files) {
        const receipt = await probe.store(file);
        numbers.add(receipt.requestNumber);
        const answer = await probe.expectState(file, UploadState.UPLOAD_STATE_STORED);
        expectSameReceipt(answer.receipt, receipt);
      }
      expectEqual(numbers.size, files.length, "the number of different request numbers");
    },
  },
];
