import { RejectReason } from "@bilancia/proto/gen/balancer";
import { maxPartsPerMessage } from "@bilancia/proto/limits";
import { fromDuration } from "@bilancia/proto/time";
import type { Check } from "../check.js";
import { emptyFinish } from "../sample-file.js";
import { expectEqual, expectThat } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";

/** The limits of the balancer's configuration, as the user tells them. */
export const limitChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "limits.file",
    level: "required",
    rule: "A file up to the balancer's limit is taken; a larger one is rejected with TOO_LARGE, before its bytes are sent where its length was announced.",
    needs: "max-file-bytes",
    async run(probe) {
      const limitBytes = probe.options.maxFileBytes ?? 0;
      const largest = probe.file(limitBytes);
      await probe.store(largest.with({ sizeBytes: BigInt(limitBytes) }));
      for (const sizeBytes of [undefined, BigInt(limitBytes + 1)]) {
        const session = probe.open();
        const file = probe.file(limitBytes + 1, { sizeBytes });
        const parts = file.parts(undefined, 0, emptyFinish);
        await session.sendParts(sizeBytes === undefined ? parts : parts.slice(0, 1), file.uploadId);
        const { retryable } = await session.rejected(file, RejectReason.REJECT_REASON_TOO_LARGE);
        expectEqual(retryable, false, "retryable");
        await session.close();
      }
    },
  },
  {
    name: "limits.queue",
    level: "required",
    rule: "When the queue has no room, a file is rejected with QUEUE_FULL, retryable, with retry_after; it is taken when there is room again, and files that were let in go on.",
    needs: "queue-files",
    async run(probe) {
      const session = probe.open();
      const held = Array.from({ length: probe.options.queueFiles ?? 0 }, () => probe.file(100));
      for (let at = 0; at < held.length; at += maxPartsPerMessage)
        await session.send(...held.slice(at, at + maxPartsPerMessage).flatMap((file) => file.parts().slice(0, 1)));
      for (const file of held) await session.accepted(file);
      const more = probe.file(100);
      await session.send(more.whole());
      const { retryable, retryAfter } = await session.rejected(more, RejectReason.REJECT_REASON_QUEUE_FULL);
      expectEqual(retryable, true, "retryable");
      expectThat(retryAfter !== undefined && fromDuration(retryAfter) > 0, "retry_after is absent");
      await session.close();
      for (const file of held.slice(0, 1)) await probe.resume(file);
      for (const file of held.slice(1)) await probe.cancelFile(file);
      await probe.store(more);
    },
  },
];
