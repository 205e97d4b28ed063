import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LedgerEntry } from "@bilancia/balancer/dist/queue/ledger-entry.js";
import { LmdbLedger } from "@bilancia/balancer/dist/queue/lmdb-ledger.js";

/** Entries that become durable together. */
const batchCount = 500;

/** Makes the state folder of a balancer that has so many small files queued, acknowledged with `queued`, the bytes in the ledger. */
export async function fillQueue(stateDir: string, filesCount: number, sizeBytes: number): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  const numbering = { origin: randomBytes(16).toString("hex"), term: 1, reservedUpTo: String(filesCount) };
  for (const name of ["numbering.json", "numbering-copy.json"])
    await writeFile(join(stateDir, name), JSON.stringify(numbering));
  const ledger = new LmdbLedger(join(stateDir, "ledger"), (number, problem) => {
    throw new Error(`entry ${number}: ${problem}`);
  });
  const nowMs = Date.now();
  for (let number = 1; number <= filesCount; ) {
    const puts: Promise<void>[] = [];
    for (; puts.length < batchCount && number <= filesCount; number++) {
      const name = `report-${number}.json`;
      const data = Buffer.alloc(sizeBytes, number);
      const sha256 = createHash("sha256").update(data).digest();
      const about = { contentType: "application/json", kind: "binary", ack: "queued", labels: {} } as const;
      const counts = { attemptCount: 0, failures: 0, intents: [], attempts: [] };
      const entry: LedgerEntry = {
        ...{ requestNumber: BigInt(number), client: "127.0.0.1:50000", receivedAtMs: nowMs, touchedAtMs: nowMs },
        ...{ description: { uploadId: randomUUID(), name, sizeBytes, sha256, ...about }, ...counts },
        ...{ state: "queued", complete: true, receivedBytes: sizeBytes, bytesAt: "ledger" },
      };
      puts.push(ledger.put(entry, data));
    }
    await Promise.all(puts);
  }
  await ledger.close();
}
