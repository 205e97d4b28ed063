import { Holding } from "@bilancia/proto/gen/storage";
import { maxPartsPerMessage } from "@bilancia/proto/limits";
import type { Check } from "../check.js";
import { fileLengthChecks } from "../file-lengths.js";
import { emptyFinish } from "../sample-file.js";
import { expectEqual, expectThat } from "../violation.js";
import { expectReceipt, type StorageProbe } from "./storage-probe.js";

/** Files of all lengths, in one part and in many. */
export const fileChecks: readonly Check<StorageProbe>[] = [
  ...fileLengthChecks,
  {
    name: "files.unannounced",
    level: "required",
    rule: "size_bytes, sha256 and crc32c are optional, in the header and in finish.",
    async run(probe) {
      const file = probe.file(5_000);
      const session = probe.open();
      await session.send({ ...file.whole(emptyFinish), crc32c: undefined });
      expectReceipt(await session.saved(file.requestNumber), file, false);
      await session.close();
    },
  },
  {
    name: "files.stored-name",
    level: "required",
    rule: "A file lies under <request_number>_<name>.",
    async run(probe) {
      const file = probe.file(100, { name: "report 2026.final.pdf" });
      const { storedName } = await probe.store(file);
      expectEqual(storedName, `${file.requestNumber}_report 2026.final.pdf`, "stored_name");
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
      for (const file of files) await probe.storedOn(session, file);
      await session.close();
    },
  },
  {
    name: "files.saved-is-there",
    level: "required",
    rule: "saved means that the file is on disk under its final name: from then on it is known, whoever asks.",
    async run(probe) {
      for (const size of [2_000, 300_000]) {
        const file = probe.file(size);
        await probe.store(file);
        await probe.expectHolding(file, Holding.HOLDING_STORED);
        const again = file.with({ attempt: 2 });
        const outcome = await probe.deliver(again);
        expectThat(
          outcome.$case === "saved" && outcome.value.duplicate,
          "right after saved, the file is sent once more and is not known",
        );
      }
    },
  },
];
