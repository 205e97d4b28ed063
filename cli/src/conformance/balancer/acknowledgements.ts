import { Ack, UploadState } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { expectEqual } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";

const sizes = [0, 700, 500_000];
/** The longest deadline of a call, in milliseconds. */
const maxDeadlineMs = 3_000;

/** When the client hears back, and what holds once it has. */
export const acknowledgementChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "acks.unspecified",
    level: "required",
    rule: "An ack that is not said is treated as ACK_STORED: the client hears stored once a storage server has the file, and no queued.",
    async run(probe) {
      for (const size of sizes) await probe.store(probe.file(size, { ack: Ack.ACK_UNSPECIFIED }));
    },
  },
  {
    name: "acks.queued",
    level: "required",
    rule: "With ACK_QUEUED the client hears queued when the queue has the file safe, and stored follows while the client is still there.",
    async run(probe) {
      const session = probe.open();
      for (const size of sizes) {
        const file = probe.file(size, { ack: Ack.ACK_QUEUED });
        await session.sendParts(file.parts(), file.uploadId);
        await session.queued(file);
        await session.stored(file);
      }
      await session.close();
    },
  },
  {
    name: "acks.queued-goes-on",
    level: "required",
    rule: "After queued, delivery goes on without the client.",
    async run(probe) {
      const files = Array.from({ length: 20 }, (_, at) => probe.file(at * 30_000, { ack: Ack.ACK_QUEUED }));
      const session = probe.open();
      for (const file of files) await session.sendParts(file.parts(), file.uploadId);
      for (const file of files) await session.queued(file);
      session.cancel();
      await session.ended;
      for (const file of files) await probe.storedInTheEnd(file);
    },
  },
  {
    name: "acks.deadline",
    level: "required",
    rule: "The deadline of the stream is the client's: files that were accepted with ACK_QUEUED go on after it, and an unfinished one can be resumed.",
    async run(probe) {
      const queued = probe.file(500_000, { ack: Ack.ACK_QUEUED });
      const unfinished = probe.file(500_000);
      const deadlineMs = Math.min(maxDeadlineMs, probe.options.timeoutMs / 2);
      const session = probe.open(undefined, new Date(Date.now() + deadlineMs));
      await session.sendParts(queued.parts(), queued.uploadId);
      await session.queued(queued);
      for (const part of unfinished.parts(100_000).slice(0, 3)) await session.send(part);
      const { code } = await session.ended;
      expectEqual(status[code], "DEADLINE_EXCEEDED", "the status of the stream after its deadline");
      await probe.storedInTheEnd(queued);
      await probe.expectState(unfinished, UploadState.UPLOAD_STATE_RECEIVING);
      await probe.resume(unfinished);
    },
  },
];
