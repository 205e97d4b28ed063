import { Ack } from "@bilancia/proto/gen/balancer";
import { TempFolder } from "../bed/temp-folder.js";
import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Turn, type Workload } from "../bench.js";
import { closedLoop, forTime } from "../load/closed-loop.js";
import { makePayloads, type Payload } from "../load/payload.js";
import { NatsStream } from "../peers/nats.js";

const sizeBytes = 256;
const concurrency = 256;

/** Tiny files that the balancer takes over. */
export const tinyQueued: Workload = {
  name: "tiny-queued",
  about:
    "Files of 256 bytes, acknowledged `QUEUED`, 256 under way: each is flushed in the balancer's queue when it is acknowledged. Their delivery goes on meanwhile, and is waited for before the next turn. The peer is a JetStream stream of nats-server with file storage. Debian's version of it acknowledges before it flushes (every two minutes), so it promises less.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir });
    const folder = new TempFolder(bench.dir);
    folder.removeAtExit();
    let nats: NatsStream | undefined;
    const payloads = makePayloads(256, sizeBytes);
    const ours = bed.ours(1, { ack: Ack.ACK_QUEUED });
    let storedCount = 0;
    let publishedCount = 0;
    const durationMs = (warmUp: boolean) => (warmUp || bench.quick ? 1_500 : 4_000);
    const turns: Turn<number>[] = [
      {
        name: ours.name,
        async measure(warmUp) {
          const next = forTime(payloads, durationMs(warmUp));
          const { filesCount, elapsedMs } = await closedLoop(ours, { concurrency, next });
          storedCount += filesCount;
          await ours.settled();
          return (filesCount * 1_000) / elapsedMs;
        },
      },
    ];
    try {
      if (bench.natsServer !== undefined) {
        const stream = await NatsStream.start(bench.natsServer, folder.path);
        nats = stream;
        const publish = {
          ...ours,
          name: "nats-server, not flushed",
          async send(_worker: number, payload: Payload) {
            for (const { data } of payload.pieces()) await stream.publish(data);
            return undefined;
          },
        };
        turns.push({
          name: publish.name,
          async measure(warmUp) {
            const next = forTime(payloads, durationMs(warmUp));
            const { filesCount, elapsedMs } = await closedLoop(publish, { concurrency, next });
            publishedCount += filesCount;
            return (filesCount * 1_000) / elapsedMs;
          },
        });
      }
      const samples = await interleaved("tiny-queued", turns, bench);
      await bed.expectStored(storedCount);
      if (nats && (await nats.messagesCount()) !== publishedCount)
        throw new Error(`nats-server has ${await nats.messagesCount()} messages, ${publishedCount} were acknowledged`);
      yield { name: "tiny-queued", unit: "files/s", better: "higher", samples };
    } finally {
      await nats?.stop();
      folder.done();
      await bed.stop();
    }
  },
};
