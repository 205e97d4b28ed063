import { randomBytes, randomUUID } from "node:crypto";
import { RefuseReason } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { expectEqual } from "../violation.js";
import type { SaveFile } from "./save-file.js";
import type { StorageProbe } from "./storage-probe.js";

/** Who a file is, and which try of it counts. */
export const identityChecks: readonly Check<StorageProbe>[] = [
  {
    name: "identity.duplicate",
    level: "required",
    rule: "A file that is stored already is answered with saved and duplicate: true, the digest on disk and the first stored name, and nothing is written.",
    async run(probe) {
      for (const size of [0, 700, 500_000]) {
        const file = probe.file(size);
        const { storedName } = await probe.store(file);
        for (const attempt of [1, 2, 3])
          expectEqual((await probe.store(file.with({ attempt }), true)).storedName, storedName, "stored_name");
      }
    },
  },
  {
    name: "identity.same-stream-twice",
    level: "required",
    rule: "The same file twice on one stream is stored once: of the two answers one is saved and the other says duplicate.",
    async run(probe) {
      const file = probe.file(4_000);
      const session = probe.open();
      await session.send(file.whole());
      const first = await session.saved(file.requestNumber);
      await session.send(file.with({ attempt: 2 }).whole());
      const second = await session.saved(file.requestNumber);
      expectEqual(`${first.duplicate}, ${second.duplicate}`, "false, true", "duplicate, for both answers,");
      await session.close();
    },
  },
  {
    name: "identity.number-taken",
    level: "required",
    rule: "Another upload under a known request number is refused with NUMBER_TAKEN, and the first one stays.",
    async run(probe) {
      const file = probe.file(700);
      await probe.store(file);
      for (const attempt of [1, 2])
        await expectRefusal(
          probe,
          file.with({ uploadId: randomUUID(), attempt }),
          RefuseReason.REFUSE_REASON_NUMBER_TAKEN,
        );
      await probe.store(file.with({ attempt: 3 }), true);
    },
  },
  {
    name: "identity.duplicate-of-other-bytes",
    level: "required",
    rule: "The digest and length announced for a known upload are compared with what is on disk.",
    async run(probe) {
      const file = probe.file(700);
      await probe.store(file);
      const { requestNumber, uploadId } = file.header;
      const other = probe.file(Buffer.from(file.data).reverse(), { requestNumber, uploadId, attempt: 2 });
      await expectRefusal(probe, other, RefuseReason.REFUSE_REASON_DIGEST_MISMATCH);
      await probe.store(file.with({ attempt: 3 }), true);
    },
  },
  {
    name: "identity.origins",
    level: "required",
    rule: "Identity holds per origin: two origins may use the same number for different files, and both are kept. Where the name is taken, ~ and the first 8 digits of the origin stand before the extension.",
    async run(probe) {
      const name = "same.name.txt";
      const first = probe.file(300, { name });
      const origin = randomBytes(16).toString("hex");
      const second = probe.file(301, { origin, requestNumber: first.requestNumber, name });
      expectEqual((await probe.store(first)).storedName, `${first.requestNumber}_${name}`, "stored_name");
      const { storedName } = await probe.store(second);
      expectEqual(storedName, `${first.requestNumber}_same.name~${origin.slice(0, 8)}.txt`, "the second stored_name");
      await probe.store(first.with({ attempt: 2 }), true);
      await probe.store(second.with({ attempt: 2 }), true);
    },
  },
  {
    name: "fencing.attempt",
    level: "required",
    rule: "A server refuses with STALE_ATTEMPT an attempt lower than one it has seen for this file.",
    async run(probe) {
      const file = probe.file(700, { attempt: 5 });
      await probe.store(file);
      await expectStale(probe, file.with({ attempt: 4 }));
      await probe.store(file.with({ attempt: 8 }), true);
      await expectStale(probe, file.with({ attempt: 7 }));
      await probe.store(file.with({ attempt: 8 }), true);
    },
  },
  {
    name: "fencing.term",
    level: "required",
    rule: "Terms are compared before attempts: a lower term is refused with STALE_ATTEMPT whatever its attempt.",
    async run(probe) {
      const file = probe.file(700, { term: 3n, attempt: 2 });
      await probe.store(file);
      await expectStale(probe, file.with({ term: 2n, attempt: 9 }));
      await probe.store(file.with({ term: 4n, attempt: 1 }), true);
      await expectStale(probe, file.with({ term: 3n, attempt: 2 }));
    },
  },
  {
    name: "fencing.seen-not-stored",
    level: "required",
    rule: "An attempt counts as seen also where it was refused and nothing is stored.",
    async run(probe) {
      const file = probe.file(700, { term: 2n, attempt: 2 });
      const session = probe.open();
      await session.send({ ...file.whole(), crc32c: 1 });
      await session.refused(file.requestNumber, RefuseReason.REFUSE_REASON_CHECKSUM_MISMATCH);
      await session.close();
      await expectStale(probe, file.with({ attempt: 1 }));
      await expectStale(probe, file.with({ term: 1n, attempt: 3 }));
      await probe.store(file.with({ attempt: 3 }));
    },
  },
];

function expectStale(probe: StorageProbe, file: SaveFile): Promise<void> {
  return expectRefusal(probe, file, RefuseReason.REFUSE_REASON_STALE_ATTEMPT);
}

/** Sends a file that must be refused for the given reasons. @throws Violation */
export async function expectRefusal(probe: StorageProbe, file: SaveFile, ...reasons: RefuseReason[]): Promise<void> {
  const session = probe.open();
  await session.send(file.whole());
  await session.refused(file.requestNumber, ...reasons);
  await session.close();
}
