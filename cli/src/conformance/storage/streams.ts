import { RefuseReason } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { batched } from "../sample-file.js";
import { expectReceipt, type StorageProbe } from "./storage-probe.js";

const pipelinedCount = 300;

/** Many files on one stream, good ones and bad ones. */
export const streamChecks: readonly Check<StorageProbe>[] = [
  {
    name: "streams.pipelined",
    level: "required",
    rule: "Files come one after another on one stream, several small ones in one message, without waiting for answers; each is answered by its request number, in any order.",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: pipelinedCount }, (_, at) =>
        probe.file(at % 50 === 49 ? 400_000 : (at * 7919) % 9_000),
      );
      for (const parts of batched(files)) await session.send(...parts);
      for (const file of files) await probe.storedOn(session, file);
      await session.close();
    },
  },
  {
    name: "streams.at-once",
    level: "required",
    rule: "Each large file has a stream of its own: several streams are served at once, and an unfinished file holds up nobody else's.",
    async run(probe) {
      const slow = probe.file(600_000);
      const slowSession = probe.open();
      const parts = slow.parts();
      const last = parts.pop();
      for (const part of parts) await slowSession.send(part);
      const others = Array.from({ length: 8 }, (_, at) => probe.file(50_000 * (at + 1)));
      await Promise.all(others.map((file) => probe.store(file)));
      if (last) await slowSession.send(last);
      expectReceipt(await slowSession.saved(slow.requestNumber), slow, false);
      await slowSession.close();
    },
  },
  {
    name: "streams.survive-refusals",
    level: "required",
    rule: "A file that fails gets a refused result and the stream goes on: the rest of that file is skipped up to the next header.",
    async run(probe) {
      const session = probe.open();
      const bad = probe.file(900_000, { name: "../escape" });
      const good = probe.file(900_000);
      const small = probe.file(10);
      // Not `sendParts`: a balancer may have sent the rest before it reads the refusal.
      for (const file of [bad, good]) for (const part of file.parts()) await session.send(part);
      await session.send(small.whole());
      await session.refused(bad.requestNumber, RefuseReason.REFUSE_REASON_INVALID_NAME);
      for (const file of [good, small]) expectReceipt(await session.saved(file.requestNumber), file, false);
      await session.close();
    },
  },
  {
    name: "streams.half-close",
    level: "required",
    rule: "When the balancer closes its side, the server answers what it has and then ends the stream with OK.",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: 40 }, () => probe.file(3_000));
      for (const parts of batched(files)) await session.send(...parts);
      await session.close();
      for (const file of files) await probe.storedOn(session, file);
      await probe.open().close();
    },
  },
];
