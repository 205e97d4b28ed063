import { setTimeout as delay } from "node:timers/promises";
import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { oneCallPerFile } from "../load/contender.js";
import { makePayloads, type Payload } from "../load/payload.js";
import { storageDialect } from "../load/storage-dialect.js";
import { startScript } from "../peers/scripts.js";

const clientPauseMs = 300;

/** The protocol's first version, as the base line. */
export const teaching: Workload = {
  name: "teaching",
  about:
    "The base line: the timing of the protocol's teaching version, one file of 4 KiB after another, each with 0.3 s at the client and 0.2 s in the balancer. Ours sends one file after another too, without the pauses.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir });
    const addresses = bed.cluster.servers.map(({ address }) => address);
    const old = await startScript("teaching-balancer", addresses);
    const before = oneCallPerFile("teaching protocol", storageDialect(old.address, "teaching"));
    const payloads = makePayloads(64, 4 * 1024);
    let storedCount = 0;
    const rate = async (filesCount: number, send: (payload: Payload) => Promise<unknown>) => {
      const startMs = performance.now();
      for (let index = 0; index < filesCount; index++) await send(payloads[index % payloads.length] as Payload);
      storedCount += filesCount;
      return (filesCount * 1_000) / (performance.now() - startMs);
    };
    try {
      const ours = bed.ours(1);
      const turns = [
        { name: "ours", measure: (warmUp: boolean) => rate(warmUp ? 100 : 500, (payload) => ours.send(0, payload)) },
        {
          name: before.name,
          measure: (warmUp: boolean) =>
            rate(warmUp ? 1 : 6, async (payload) => {
              await delay(clientPauseMs);
              await before.send(0, payload);
            }),
        },
      ];
      const samples = await interleaved("teaching", turns, bench);
      await bed.expectStored(storedCount);
      yield { name: "teaching", unit: "files/s", better: "higher", samples, references: [before.name] };
    } finally {
      await before.close();
      await old.stop();
      await bed.stop();
    }
  },
};
