import { setTimeout as delay } from "node:timers/promises";
import { Ack, type Receipt, UploadState } from "@bilancia/proto/gen/balancer";
import type { Check } from "../check.js";
import { batched } from "../sample-file.js";
import { expectEqual, expectThat } from "../violation.js";
import { type BalancerProbe, expectSameReceipt } from "./balancer-probe.js";

/** After so long a receipt survives a crash as it is, in milliseconds. */
const receiptSafeMs = 1_000;

/** What must outlive the process: the user's command kills the balancer and starts it again. */
export const restartChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "restart.stored",
    level: "required",
    rule: "A receipt never changes: after a crash, a second later or more, the same upload id is answered with the first one, and QueryUpload tells it.",
    needs: "restart-cmd",
    async run(probe) {
      const session = probe.open();
      const files = [...Array.from({ length: 50 }, (_, at) => probe.file(at * 90)), probe.file(3_000_000)];
      for (const parts of batched(files)) await session.send(...parts);
      const receipts: Receipt[] = [];
      for (const file of files) receipts.push(await session.stored(file));
      await delay(receiptSafeMs);
      await probe.restart();
      for (const [at, receipt] of receipts.entries()) {
        const file = files[at];
        if (!file) continue;
        await probe.storedInTheEnd(file);
        expectSameReceipt((await probe.queryFile(file)).receipt, receipt);
        expectSameReceipt(await probe.store(file), receipt);
      }
    },
  },
  {
    name: "restart.queued",
    level: "required",
    rule: "What was answered with queued survives a crash of the process: it is delivered, under the same request number.",
    needs: "restart-cmd",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: 100 }, (_, at) =>
        probe.file(at === 99 ? 3_000_000 : at * 900, { ack: Ack.ACK_QUEUED }),
      );
      for (const parts of batched(files)) await session.send(...parts);
      for (const file of files) await session.queued(file);
      const numbers = await Promise.all(files.map(async (file) => (await probe.queryFile(file)).requestNumber));
      await probe.restart();
      for (const [at, file] of files.entries())
        expectEqual((await probe.storedInTheEnd(file)).requestNumber, numbers[at], "the request number");
    },
  },
  {
    name: "restart.unfinished",
    level: "required",
    rule: "A crash breaks all streams; an upload that was not complete is resumed, or begins anew, with the same id.",
    needs: "restart-cmd",
    async run(probe) {
      const files = [probe.file(300_000), probe.file(3_000_000)];
      const session = probe.open();
      for (const file of files) for (const part of file.parts(100_000).slice(0, -2)) await session.send(part);
      await probe.roundTrip();
      await probe.restart();
      await probe.eventually(
        async () => session.end !== undefined,
        "the stream from before has ended; the restart command must end the balancer",
      );
      for (const file of files) await probe.resume(file);
    },
  },
  {
    name: "restart.numbers",
    level: "required",
    rule: "A request number is never given to another upload, after a crash neither.",
    needs: "restart-cmd",
    async run(probe) {
      const numbers: bigint[] = [];
      for (const round of [1, 2]) {
        if (round === 2) await probe.restart();
        for (let at = 0; at < 3; at++) {
          const { requestNumber } = await probe.store(probe.file(100));
          expectThat(!numbers.includes(requestNumber), `the request number ${requestNumber} was given twice`);
          numbers.push(requestNumber);
        }
        // One that was begun, and is not in any receipt.
        const begun = probe.file(300_000);
        const session = probe.open();
        for (const part of begun.parts().slice(0, 1)) await session.send(part);
        await session.accepted(begun);
        numbers.push((await probe.expectState(begun, UploadState.UPLOAD_STATE_RECEIVING)).requestNumber);
        session.cancel();
      }
      expectEqual(new Set(numbers).size, numbers.length, "the number of different request numbers");
    },
  },
];
