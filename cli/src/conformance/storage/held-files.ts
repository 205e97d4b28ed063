import { randomUUID } from "node:crypto";
import { Holding, RefuseReason } from "@bilancia/proto/gen/storage";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { expectStatus } from "../probe.js";
import { expectEqual, Violation } from "../violation.js";
import { expectRefusal } from "./identity.js";
import { expectReceipt, type StorageProbe } from "./storage-probe.js";

/** What `Stat` and `Discard` say and do, where they are implemented. */
export const heldFileChecks: readonly Check<StorageProbe>[] = [
  {
    name: "stat.unknown",
    level: "optional",
    rule: "Stat answers OK with HOLDING_NONE for an unknown request number.",
    async run(probe) {
      expectEqual((await probe.stat(probe.file(1))).holding, Holding.HOLDING_NONE, "holding");
    },
  },
  {
    name: "stat.stored",
    level: "optional",
    rule: "Stat tells of a stored file its upload, stored name, length, SHA-256, and the attempt that stored it.",
    async run(probe) {
      const stored = probe.file(5_000, { term: 2n, attempt: 3 });
      const { storedName } = await probe.store(stored);
      const { holding, file } = await probe.stat(stored);
      expectEqual(holding, Holding.HOLDING_STORED, "holding");
      if (!file) throw new Violation("Stat answers HOLDING_STORED without the file");
      expectReceipt(file, stored);
      expectEqual(file.storedName, storedName, "stored_name");
      expectEqual(file.uploadId, stored.header.uploadId, "upload_id");
      expectEqual(`${file.term}, ${file.attempt}`, "2, 3", "term, attempt");
    },
  },
  {
    name: "discard.removes",
    level: "optional",
    rule: "Discard removes the file, and answers OK also where there is nothing to remove: it is safe to repeat.",
    async run(probe) {
      const file = probe.file(5_000);
      await probe.store(file);
      expectEqual((await probe.discard(file)).discarded, true, "discarded");
      await probe.expectHolding(file, Holding.HOLDING_NONE);
      expectEqual((await probe.discard(file)).discarded, false, "discarded, the second time,");
      expectEqual((await probe.discard(probe.file(1))).discarded, false, "discarded, of an unknown file,");
    },
  },
  {
    name: "discard.fences",
    level: "optional",
    rule: "Discard remembers the attempt: a late Save of the same or an earlier one is refused, a later one is stored.",
    async run(probe) {
      const file = probe.file(5_000, { attempt: 2 });
      await probe.store(file);
      await probe.discard(file);
      const neverSent = probe.file(10, { attempt: 2 });
      await probe.discard(neverSent);
      for (const one of [file, neverSent]) {
        for (const attempt of [1, 2])
          await expectRefusal(probe, one.with({ attempt }), RefuseReason.REFUSE_REASON_STALE_ATTEMPT);
        await probe.store(one.with({ attempt: 3 }));
      }
    },
  },
  {
    name: "discard.guards",
    level: "optional",
    rule: "Discard ends with FAILED_PRECONDITION when the file belongs to another upload or to a later attempt, and leaves it.",
    async run(probe) {
      const file = probe.file(5_000, { term: 2n, attempt: 2 });
      await probe.store(file);
      const { FAILED_PRECONDITION } = status;
      await expectStatus(
        probe.discard(file.with({ uploadId: randomUUID() })),
        FAILED_PRECONDITION,
        "Discard of another upload",
      );
      await expectStatus(
        probe.discard(file, { term: 2n, attempt: 1 }),
        FAILED_PRECONDITION,
        "Discard of an earlier attempt",
      );
      await expectStatus(
        probe.discard(file, { term: 1n, attempt: 9 }),
        FAILED_PRECONDITION,
        "Discard of an earlier term",
      );
      await probe.store(file.with({ attempt: 3 }), true);
    },
  },
];
