import { connect } from "node:net";
import { maxMessageBytes } from "@bilancia/proto/limits";
import { TestBed } from "../bed/test-bed.js";
import { type Bench, interleaved, type Turn, type Workload } from "../bench.js";
import { closedLoop, once } from "../load/closed-loop.js";
import { type Contender, oneCallPerFile } from "../load/contender.js";
import { makePayload, type Payload } from "../load/payload.js";
import { storageDialect } from "../load/storage-dialect.js";
import { type LinkOptions, type RunningScript, startLink, startScript } from "../peers/scripts.js";
import type { Measured } from "../report/results.js";

const mebibyte = 1024 ** 2;
const gigabit = 125_000_000;
const stockName = "stock grpc-js windows";
const rawName = "raw TCP";

/** One file over a long link. */
export const wan: Workload = {
  name: "wan",
  about:
    "One file over a link with a round trip of 20 or 80 ms: of 1 Gbit/s, and (`unlimited`) as fast as the proxy in between can copy. On tmpfs, so that only the network counts. `raw TCP` is what the same link lets through without gRPC, into a process that only counts the bytes; `stock grpc-js windows` is a grpc-js server and client as they come, on one connection.",
  async *run(bench) {
    const parent = bench.tmpfs ?? bench.dir;
    const bed = await TestBed.start({ parent, proxies: bench.proxies });
    const stock = await startScript("stock-server");
    const sink = await startScript("tcp-sink");
    try {
      for (const roundTripMs of [20, 80]) {
        for (const bytesPerSecond of [gigabit, undefined]) {
          const name = `wan-${roundTripMs}ms${bytesPerSecond === undefined ? "-unlimited" : ""}`;
          const link = { delayMs: roundTripMs / 2, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) };
          yield await overLink(name, roundTripMs, link, bench, bed, stock, sink);
        }
      }
    } finally {
      await Promise.all([stock.stop(), sink.stop()]);
      await bed.stop();
    }
  },
};

async function overLink(
  name: string,
  roundTripMs: number,
  options: LinkOptions,
  bench: Bench,
  bed: TestBed,
  stock: RunningScript,
  sink: RunningScript,
): Promise<Measured> {
  const targets = {
    ours: bed.cluster.balancer.address,
    stock: stock.address,
    raw: sink.address,
    ...bed.proxyAddresses,
  };
  const link = await startLink(targets, options);
  const { addressOf } = link;
  const file = makePayload((bench.quick ? 64 : 256) * mebibyte);
  // 64 KiB a round trip: about three seconds.
  const stockFile = makePayload(Math.round((3_000 / roundTripMs) * 65_536));
  const through = (contender: Contender, payload: Payload): Turn<number> => ({
    name: contender.name,
    async measure(warmUp) {
      const some = warmUp ? makePayload(payload.sizeBytes / 4) : payload;
      const result = await closedLoop(contender, { concurrency: 1, next: once([some]) });
      if (contender.name !== stockName) await bed.discard(result.files);
      return (result.bytes * 1_000) / result.elapsedMs / mebibyte;
    },
  });
  const ours = bed.ours(1, { address: addressOf("ours") });
  const stockDialect = storageDialect(addressOf("stock"), "stock", {
    channelOptions: { "grpc.max_send_message_length": maxMessageBytes },
  });
  const contenders = bed.perFile({}, addressOf);
  const turns = [
    through(ours, file),
    ...contenders.map((contender) => through(contender, file)),
    through(oneCallPerFile(stockName, stockDialect), stockFile),
    { name: rawName, measure: (warmUp: boolean) => rawRate(addressOf("raw"), file.sizeBytes / (warmUp ? 4 : 1)) },
  ];
  try {
    const samples = await interleaved(name, turns, bench);
    const goals =
      roundTripMs === 20
        ? [
            { against: [stockName], atLeast: 20 },
            { against: [rawName], atLeast: 0.9 },
          ]
        : [];
    return { name, unit: "MiB/s", better: "higher", samples, references: [stockName, rawName], goals };
  } finally {
    stockDialect.close();
    await link.stop();
  }
}

/** What TCP by itself gets over the link, in MiB/s: until the other end has said how much came. */
async function rawRate(address: string, sizeBytes: number): Promise<number> {
  const [host, port] = address.split(":");
  const socket = connect({ port: Number(port), host: host as string, allowHalfOpen: true });
  const data = Buffer.alloc(256 * 1024, 1);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  const startMs = performance.now();
  let answer = "";
  socket.on("data", (words: Buffer) => {
    answer += words.toString();
  });
  const ended = new Promise((resolve) => socket.once("end", resolve));
  for (let sentBytes = 0; sentBytes < sizeBytes; sentBytes += data.length) {
    const room = socket.write(data.subarray(0, Math.min(data.length, sizeBytes - sentBytes)));
    if (!room) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
  await ended;
  if (answer !== String(sizeBytes)) throw new Error(`raw TCP: ${sizeBytes} bytes were sent, ${answer} came`);
  return (sizeBytes * 1_000) / (performance.now() - startMs) / mebibyte;
}
