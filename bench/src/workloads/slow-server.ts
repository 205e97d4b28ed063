import { setTimeout as delay } from "node:timers/promises";
import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { closedLoop } from "../load/closed-loop.js";
import type { Contender } from "../load/contender.js";
import type { StoredFile } from "../load/dialect.js";
import { makePayloads, type Payload } from "../load/payload.js";
import { type Child, freeAddress } from "../peers/child.js";
import { spawnLink } from "../peers/scripts.js";

const sizeBytes = 4 * 1024;
/** What a file takes on the wire besides its bytes, about. */
const overheadBytes = 250;
const fastName = "the two fast servers alone";
const slowName = "storage-3";
const leadInMs = 1_000;
const payloads = makePayloads(256, sizeBytes);

/** A server that is much slower than the others. */
export const slowServer: Workload = {
  name: "slow-server",
  about:
    "Documents of 4 KiB, with one of three servers of equal weight 10 times slower: the link to it lets through a tenth of the bytes that a fast server took just before. Beside it the two fast servers alone, with a balancer of their own. Counted are acknowledgements within a time, from one second after the start, when the slow server has all that it is given.",
  async *run(bench) {
    const fast = await TestBed.start({ parent: bench.dir, serversCount: 2 });
    let slow: TestBed | undefined;
    let link: Child | undefined;
    try {
      const alone = new Counter(fast.ours(1));
      const total = await acknowledgedPerSecond(alone, 256, bench.quick ? 2_000 : 4_000);
      const bytesPerSecond = Math.round(((total / 2) * (sizeBytes + overheadBytes)) / 10);
      const listen = await freeAddress();
      slow = await TestBed.start({
        parent: bench.dir,
        serverAddress: (name, address) => {
          if (name !== slowName) return address;
          link = spawnLink({ [listen]: address }, { bytesPerSecond });
          return listen;
        },
      });
      const counters = { ours: new Counter(slow.ours(1)), [fastName]: alone };
      for (const concurrency of [256, 4_096]) {
        const name = `slow-server-${concurrency}`;
        const turns = Object.entries(counters).map(([title, counter]) => ({
          name: title,
          measure: (warmUp: boolean) =>
            acknowledgedPerSecond(counter, concurrency, warmUp || bench.quick ? 1_500 : 4_000),
        }));
        const samples = await interleaved(name, turns, bench);
        await slow.expectStored(counters.ours.acknowledgedCount);
        await fast.expectStored(alone.acknowledgedCount);
        yield {
          ...{ name, unit: "files/s", better: "higher", samples, references: [fastName] },
          goals: [{ against: [fastName], atLeast: 0.9 }],
          notes: [`the slow server's link: ${(bytesPerSecond / 1024).toFixed(0)} KiB/s`],
        };
      }
    } finally {
      await slow?.stop();
      await link?.stop();
      await fast.stop();
    }
  },
};

/** A contender whose acknowledgements are counted. */
class Counter implements Contender {
  readonly name: string;
  acknowledgedCount = 0;
  readonly #contender: Contender;

  constructor(contender: Contender) {
    this.name = contender.name;
    this.#contender = contender;
  }

  async send(worker: number, payload: Payload): Promise<StoredFile | undefined> {
    const file = await this.#contender.send(worker, payload);
    this.acknowledgedCount++;
    return file;
  }

  settled(): Promise<void> {
    return this.#contender.settled();
  }

  close(): Promise<void> {
    return this.#contender.close();
  }
}

/** Acknowledgements a second while so many files are under way; those that come after the time are waited for, and not counted. */
async function acknowledgedPerSecond(counter: Counter, concurrency: number, durationMs: number): Promise<number> {
  let over = false;
  let sentCount = 0;
  const next = (): Payload | undefined => (over ? undefined : payloads[sentCount++ % payloads.length]);
  const load = closedLoop(counter, { concurrency, next });
  // Awaited below; should it fail before, that is soon enough.
  load.catch(() => {});
  await delay(leadInMs);
  const [beforeCount, startMs] = [counter.acknowledgedCount, performance.now()];
  await delay(durationMs);
  const rate = ((counter.acknowledgedCount - beforeCount) * 1_000) / (performance.now() - startMs);
  over = true;
  await load;
  return rate;
}
