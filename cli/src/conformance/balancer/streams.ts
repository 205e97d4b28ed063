import { Ack, RejectReason, UploadState } from "@bilancia/proto/gen/balancer";
import type { Check } from "../check.js";
import { batched } from "../sample-file.js";
import { expectEqual } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";

const pipelinedCount = 300;

/** Many files on one stream, good ones and bad ones. */
export const streamChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "streams.pipelined",
    level: "required",
    rule: "Files come one after another on one stream, several small ones in one message, without waiting for answers; each gets exactly one last event.",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: pipelinedCount }, (_, at) =>
        probe.file(at % 50 === 49 ? 400_000 : (at * 7919) % 9_000, { ack: at % 3 ? Ack.ACK_STORED : Ack.ACK_QUEUED }),
      );
      for (const parts of batched(files)) await session.send(...parts);
      const receipts = [];
      for (const file of files) receipts.push(await session.stored(file));
      const numbers = new Set(receipts.map(({ requestNumber }) => requestNumber));
      expectEqual(numbers.size, files.length, "the number of different request numbers");
      await session.close();
    },
  },
  {
    name: "streams.at-once",
    level: "required",
    rule: "Several streams are served at once, and an unfinished file holds up nobody else's.",
    async run(probe) {
      const slow = probe.file(600_000);
      const slowSession = probe.open();
      for (const part of slow.parts().slice(0, -1)) await slowSession.send(part);
      await Promise.all(Array.from({ length: 8 }, (_, at) => probe.store(probe.file(50_000 * (at + 1)))));
      for (const part of slow.parts().slice(-1)) await slowSession.send(part);
      await slowSession.stored(slow);
      await slowSession.close();
    },
  },
  {
    name: "streams.survive-rejections",
    level: "required",
    rule: "A rejected file does not end the stream: the rest of it is skipped up to the next header.",
    async run(probe) {
      const session = probe.open();
      const bad = probe.file(900_000, { name: "../escape" });
      const good = probe.file(900_000);
      const small = probe.file(10);
      // Not `sendParts`: a client may have sent the rest before it reads the rejection.
      for (const file of [bad, good]) for (const part of file.parts()) await session.send(part);
      await session.send(small.whole());
      await session.rejected(bad, RejectReason.REJECT_REASON_INVALID_NAME);
      for (const file of [good, small]) await session.stored(file);
      await session.close();
    },
  },
  {
    name: "streams.accepted",
    level: "required",
    rule: "A file that is not complete with its first part gets accepted, with resume_offset 0 where it is new; the client need not wait for it.",
    async run(probe) {
      const session = probe.open();
      const [waited, hasty] = [probe.file(30_000), probe.file(30_000)];
      const [header, ...rest] = waited.parts();
      if (header) await session.send(header);
      expectEqual(await session.accepted(waited), 0, "resume_offset");
      for (const part of rest) await session.send(part);
      await session.stored(waited);
      for (const part of hasty.parts()) await session.send(part);
      await session.stored(hasty);
      expectEqual(await session.accepted(hasty), 0, "resume_offset");
      await session.close();
    },
  },
  {
    name: "streams.next-header",
    level: "required",
    rule: "A header ends the file that was begun before and not finished: it is given up, and can be resumed.",
    async run(probe) {
      const session = probe.open();
      const [left, next] = [probe.file(300_000), probe.file(5_000)];
      for (const part of left.parts(100_000).slice(0, 3)) await session.send(part);
      await session.send(next.whole());
      await session.stored(next);
      await session.close();
      await probe.expectState(left, UploadState.UPLOAD_STATE_RECEIVING);
      await probe.resume(left);
    },
  },
  {
    name: "streams.half-close",
    level: "required",
    rule: "When the client closes its side, the balancer sends the events that are still due and then ends the stream with OK.",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: 40 }, () => probe.file(3_000));
      for (const parts of batched(files)) await session.send(...parts);
      await session.close();
      for (const file of files) await session.stored(file);
      await probe.open().close();
    },
  },
];
