import { Holding, RefuseReason } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { expectEqual, expectThat, NotImplemented } from "../violation.js";
import { expectRefusal } from "./identity.js";
import { expectReceipt, type StorageProbe } from "./storage-probe.js";

/** What must outlive the process: the user's command kills the server and starts it again. */
export const restartChecks: readonly Check<StorageProbe>[] = [
  {
    name: "restart.acknowledged",
    level: "required",
    rule: "What was answered with saved survives a crash of the process: after it, the file is a duplicate, with the same name and digest.",
    needs: "restart-cmd",
    async run(probe) {
      const session = probe.open();
      const files = Array.from({ length: 100 }, (_, at) => probe.file(at * 90));
      await session.send(...files.slice(0, 50).map((file) => file.whole()));
      const large = probe.file(3_000_000);
      await probe.store(large);
      await session.send(...files.slice(50).map((file) => file.whole()));
      const names = new Map<bigint, string>();
      for (const file of files) names.set(file.requestNumber, (await probe.storedOn(session, file)).storedName);
      await probe.restart();
      for (const file of files) {
        await probe.expectHolding(file, Holding.HOLDING_STORED);
        const { storedName } = await probe.store(file.with({ term: 2n, attempt: 1 }), true);
        expectEqual(storedName, names.get(file.requestNumber), "stored_name");
      }
      await probe.store(large.with({ term: 2n, attempt: 1 }), true);
    },
  },
  {
    name: "restart.unfinished",
    level: "required",
    rule: "A crash breaks all streams and drops the files that were not whole; afterwards they are taken like new ones.",
    needs: "restart-cmd",
    async run(probe) {
      const file = probe.file(500_000);
      const session = probe.open();
      for (const part of file.parts(100_000).slice(0, 4)) await session.send(part);
      await probe.roundTrip();
      await probe.restart();
      await probe.eventually(
        async () => session.end !== undefined,
        "the stream from before has ended; the restart command must end the server",
      );
      await probe.expectHolding(file, Holding.HOLDING_NONE);
      const outcome = await probe.deliver(file.with({ attempt: 2 }));
      expectThat(outcome.$case === "saved", `the file is answered with ${outcome.$case}; expected saved`);
      expectReceipt(outcome.value, file, false);
    },
  },
  {
    name: "restart.fence",
    level: "required",
    rule: "The attempt that stored a file, or was last answered with it, is remembered with it: lower ones are refused after a crash too.",
    needs: "restart-cmd",
    async run(probe) {
      const file = probe.file(700, { attempt: 2 });
      await probe.store(file);
      await probe.store(file.with({ attempt: 4 }), true);
      await probe.restart();
      await expectRefusal(probe, file.with({ attempt: 3 }), RefuseReason.REFUSE_REASON_STALE_ATTEMPT);
      await probe.store(file.with({ attempt: 4 }), true);
    },
  },
  {
    name: "restart.discarded",
    level: "optional",
    rule: "Discard is durable: after a crash the file is gone, and late attempts are still refused.",
    needs: "restart-cmd",
    async run(probe) {
      const file = probe.file(700);
      await probe.store(file);
      await probe.discard(file);
      await probe.restart();
      await probe.expectHolding(file, Holding.HOLDING_NONE);
      await expectRefusal(probe, file, RefuseReason.REFUSE_REASON_STALE_ATTEMPT);
      await probe.store(file.with({ attempt: 2 }));
    },
  },
  {
    name: "restart.instance-id",
    level: "optional",
    rule: "instance_id is new at every start of the process.",
    needs: "restart-cmd",
    async run(probe) {
      const before = (await probe.load()).instanceId;
      if (before === "") throw new NotImplemented("LoadResponse.instance_id");
      expectEqual((await probe.load()).instanceId, before, "instance_id, without a restart,");
      await probe.restart();
      expectThat((await probe.load()).instanceId !== before, "instance_id is the same after the restart");
    },
  },
];
