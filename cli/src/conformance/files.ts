import { Holding } from "@bilancia/proto/gen/storage";
import { maxPartDataBytes, maxPartsPerMessage } from "@bilancia/proto/limits";
import type { Check } from "./check.js";
import { expectReceipt, type Probe } from "./probe.js";
import { expectEqual, expectThat } from "./violation.js";

const mebibyte = 1024 * 1024;

/** Files of all lengths, in one part and in many. */
export const fileChecks: readonly Check[] = [
  {
    name: "files.empty",
    level: "required",
    rule: "A file of 0 bytes is a file like any other: header and finish, no data.",
    async run(probe) {
      await storeAndCompare(probe, 0, false);
      await storeAndCompare(probe, 0, true);
    },
  },
  {
    name: "files.one-byte",
    level: "required",
    rule: "A small file is one part with header, data and finish.",
    run: (probe) => storeAndCompare(probe, 1, false),
  },
  {
    name: "files.one-message",
    level: "required",
    rule: "The data of one part is at most 256 KiB; that much is taken.",
    run: (probe) => storeAndCompare(probe, maxPartDataBytes, false),
  },
  {
    name: "files.many-messages",
    level: "required",
    rule: "Parts without a header continue the file last begun on the stream; a part with finish ends it.",
    async run(probe) {
      await storeAndCompare(probe, mebibyte + 1, true);
      const file = probe.file(10_000);
      const session = probe.open();
      await session.sendParts(file.parts(997), file.requestNumber);
      expectReceipt(await session.saved(file.requestNumber), file, false);
      await session.close();
    },
  },
  {
    name: "files.64-mib",
    level: "required",
    rule: "The length of a file has no limit in the contract; saved tells its length and its SHA-256 on disk.",
    run: (probe) => storeAndCompare(probe, 64 * mebibyte, true),
  },
  {
    name: "files.unannounced",
    level: "required",
    rule: "size_bytes, sha256 and crc32c are optional, in the header and in finish.",
    async run(probe) {
      const file = probe.file(5_000);
      const session = probe.open();
      await session.send({ header: file.header, offset: 0, data: file.data, finish: emptyFinish });
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

/** A finish that says nothing of the file. */
export const emptyFinish = { sizeBytes: undefined, sha256: undefined };

async function storeAndCompare(probe: Probe, sizeBytes: number, inParts: boolean): Promise<void> {
  await probe.store(probe.file(sizeBytes), false, inParts);
}
