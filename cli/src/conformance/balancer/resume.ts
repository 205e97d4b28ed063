import { Ack, UploadState } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { randomCuts, startCuttingRelay } from "../cutting-relay.js";
import { expectEqual, expectThat } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";
import type { UploadSample } from "./upload-sample.js";

const partBytes = 100_000;

/** Streams that break, and uploads that go on. */
export const resumeChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "resume.at-every-message",
    level: "required",
    rule: "After a broken stream the same upload id is accepted with resume_offset, from where the client goes on; what QueryUpload called persisted is not asked for again.",
    async run(probe) {
      const messagesCount = probe.file(500_000).parts(partBytes).length;
      for (let sentCount = 1; sentCount < messagesCount; sentCount++) {
        const file = probe.file(500_000, { ack: sentCount % 2 ? Ack.ACK_STORED : Ack.ACK_QUEUED });
        const persistedBytes = await leaveUnfinished(probe, file, sentCount);
        const sentBytes = (sentCount - 1) * partBytes;
        const offset = await probe.resume(file);
        expectThat(
          offset >= persistedBytes && offset <= sentBytes,
          `resume_offset is ${offset}; ${persistedBytes} bytes were persisted, ${sentBytes} had been sent`,
        );
      }
    },
  },
  {
    name: "resume.goes-on",
    level: "required",
    rule: "An upload that is resumed need not be sent from the beginning: resume_offset is more than 0 once bytes have arrived.",
    async run(probe) {
      const file = probe.file(3_000_000);
      const session = probe.open();
      for (const part of file.parts(partBytes).slice(0, 25)) await session.send(part);
      await probe.eventually(
        async () => (await probe.queryFile(file)).persistedBytes > 0n,
        "QueryUpload tells of persisted bytes while a file arrives",
      );
      session.cancel();
      await session.ended;
      const offset = await probe.resume(file);
      expectThat(offset > 0, "resume_offset is 0 though bytes had been persisted");
    },
  },
  {
    name: "resume.at-random-bytes",
    level: "required",
    rule: "A connection that breaks at any byte costs nothing but the time: the same upload id goes on, and the file is stored once and whole.",
    async run(probe) {
      for (const afterBytes of randomCuts(probe.options.seed, 300_000)) {
        const file = probe.file(300_000);
        const relay = await startCuttingRelay(probe.options.address, afterBytes);
        try {
          await probe.open(probe.connect(relay.address)).sendUntilCut(file.parts(60_000), file.uploadId);
        } finally {
          await relay.close();
        }
        await probe.resume(file);
      }
    },
  },
  {
    name: "resume.half-close",
    level: "required",
    rule: "A client that closes its side in the middle of a file has given it up for now: the stream ends with OK, and the upload can be resumed.",
    async run(probe) {
      const file = probe.file(500_000);
      const session = probe.open();
      for (const part of file.parts(partBytes).slice(0, 3)) await session.send(part);
      await session.close();
      await probe.expectState(file, UploadState.UPLOAD_STATE_RECEIVING);
      await probe.resume(file);
    },
  },
  {
    name: "resume.from-the-start",
    level: "required",
    rule: "A client that resumes may also begin at 0 again; the bytes are the same ones.",
    async run(probe) {
      const file = probe.file(500_000);
      await leaveUnfinished(probe, file, 4);
      await probe.store(file, 70_000);
    },
  },
  {
    name: "resume.gap",
    level: "required",
    rule: "Data that begins after resume_offset leaves a gap: the stream ends with INVALID_ARGUMENT, and the upload can still be resumed.",
    async run(probe) {
      const file = probe.file(500_000);
      await leaveUnfinished(probe, file, 3);
      const session = probe.open();
      const [header] = file.parts();
      if (header) await session.send(header);
      const offset = await session.accepted(file);
      for (const part of file.parts(partBytes, offset + 1).slice(1, 2)) await session.send(part);
      await session.endsWith(status.INVALID_ARGUMENT);
      await probe.resume(file);
    },
  },
];

/** Sends the first messages of a file and breaks the stream off. What the balancer says it has of it by then, in bytes. */
async function leaveUnfinished(probe: BalancerProbe, file: UploadSample, sentCount: number): Promise<number> {
  const session = probe.open();
  for (const part of file.parts(partBytes).slice(0, sentCount)) await session.send(part);
  await session.accepted(file);
  const { persistedBytes, state } = await probe.queryFile(file);
  expectEqual(UploadState[state], "UPLOAD_STATE_RECEIVING", "the state that QueryUpload tells");
  session.cancel();
  await session.ended;
  return Number(persistedBytes);
}
