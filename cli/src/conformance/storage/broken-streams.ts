import { Holding } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { randomCuts, startCuttingRelay } from "../cutting-relay.js";
import { expectThat } from "../violation.js";
import type { SaveFile } from "./save-file.js";
import { expectReceipt, notStored, type StorageProbe } from "./storage-probe.js";

/** Streams that break: what has not arrived in full is not there, and the same file again is taken. */
export const brokenStreamChecks: readonly Check<StorageProbe>[] = [
  {
    name: "broken.at-every-message",
    level: "required",
    rule: "A file whose finish has not arrived when the stream ends is dropped, whole; the next attempt stores it.",
    async run(probe) {
      const messagesCount = probe.file(500_000).parts(100_000).length;
      for (let sentCount = 1; sentCount < messagesCount; sentCount++) {
        const file = probe.file(500_000);
        const session = probe.open();
        for (const part of file.parts(100_000).slice(0, sentCount)) await session.send(part);
        await probe.roundTrip();
        session.cancel();
        await session.ended;
        await probe.expectHolding(file, ...notStored);
        await storeInTheEnd(probe, file, false);
      }
    },
  },
  {
    name: "broken.by-half-close",
    level: "required",
    rule: "A stream that is closed in good order in the middle of a file drops that file too, and ends with OK.",
    async run(probe) {
      const file = probe.file(500_000);
      const session = probe.open();
      for (const part of file.parts(100_000).slice(0, 3)) await session.send(part);
      await session.close();
      await probe.expectHolding(file, ...notStored);
      await storeInTheEnd(probe, file, false);
    },
  },
  {
    name: "broken.at-random-bytes",
    level: "required",
    rule: "A connection that breaks at any byte leaves a file whole or not at all; the next attempt gets saved.",
    async run(probe) {
      for (const afterBytes of randomCuts(probe.options.seed, 300_000)) {
        const file = probe.file(300_000);
        const relay = await startCuttingRelay(probe.options.address, afterBytes);
        try {
          await probe.open(probe.connect(relay.address)).sendUntilCut(file.parts(60_000), file.requestNumber);
        } finally {
          await relay.close();
        }
        await storeInTheEnd(probe, file);
      }
    },
  },
  {
    name: "broken.no-partial-file",
    level: "required",
    rule: "No part of a file is visible: it is HOLDING_RECEIVING or HOLDING_NONE until it is whole, and HOLDING_NONE after its stream broke.",
    async run(probe) {
      for (const sentCount of [1, 3, 6]) {
        const file = probe.file(500_000);
        const session = probe.open();
        for (const part of file.parts(100_000).slice(0, sentCount)) await session.send(part);
        await probe.roundTrip();
        await probe.expectHolding(file, ...notStored);
        session.cancel();
        await session.ended;
        await probe.eventually(
          () => probe.expectHolding(file, Holding.HOLDING_NONE).then(() => true),
          "Stat answers HOLDING_NONE after the stream broke",
        );
      }
    },
  },
  {
    name: "broken.others-go-on",
    level: "required",
    rule: "Files that were whole when the stream broke are stored or not, but never in part: each is a duplicate or saved now.",
    async run(probe) {
      const files = Array.from({ length: 60 }, () => probe.file(500));
      // Together less than the smallest HTTP/2 window, so that all of it can arrive.
      const unfinished = probe.file(500_000);
      const session = probe.open();
      await session.send(...files.map((file) => file.whole()));
      for (const part of unfinished.parts(10_000).slice(0, 2)) await session.send(part);
      await probe.roundTrip();
      session.cancel();
      await session.ended;
      for (const file of files) await storeInTheEnd(probe, file);
      await storeInTheEnd(probe, unfinished, false);
    },
  },
];

/** The next attempt of a file must be saved. @param duplicate whether it may have been stored before; not given: either */
async function storeInTheEnd(probe: StorageProbe, file: SaveFile, duplicate?: boolean): Promise<void> {
  const outcome = await probe.deliver(file.with({ attempt: 2 }));
  expectThat(
    outcome.$case === "saved",
    `the next attempt after the break is answered with ${outcome.$case}; expected saved`,
  );
  expectReceipt(outcome.value, file, duplicate);
}
