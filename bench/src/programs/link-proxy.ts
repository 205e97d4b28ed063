import { connect, createServer, type Socket } from "node:net";
import { parseArgs } from "node:util";

// A process: a TCP proxy that behaves like a long or a narrow link. `--route LISTEN=TARGET` (any number), `--delay-ms N` in each direction,
// `--bytes-per-second N` for each direction, shared by all connections; without it there is no limit. The kernel's own buffers see no delay, so
// what is slow over this link is slow because of the windows of whoever speaks over it.

/** What may be on an unlimited link at once: enough for 6 GB/s at 10 ms. */
const unlimitedBytes = 64 * 1024 ** 2;
/** What waits before a narrow link, as in a router, in milliseconds of its rate. */
const queueMs = 50;

interface Link {
  readonly delayMs: number;
  readonly bytesPerMs: number;
  readonly maxQueuedBytes: number;
  /** When the line has sent what it was given. */
  freeAtMs: number;
}

const { values } = parseArgs({
  options: {
    route: { type: "string", multiple: true, default: [] },
    "delay-ms": { type: "string", default: "0" },
    "bytes-per-second": { type: "string", default: "Infinity" },
  },
});
const delayMs = Number(values["delay-ms"]);
const bytesPerMs = Number(values["bytes-per-second"]) / 1_000;
if (!(delayMs >= 0) || !(bytesPerMs > 0)) throw new Error("link-proxy: expected numbers for delay and rate");
const forth = link();
const back = link();
for (const route of values.route) {
  const [listen = "", target = ""] = route.split("=");
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const [host, port] = target.split(":");
    const far = connect({ port: Number(port), host: host as string, allowHalfOpen: true });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {
        near.destroy();
        far.destroy();
      });
    }
    carry(near, far, forth);
    carry(far, near, back);
  });
  const [host, port] = listen.split(":");
  server.listen(Number(port), host);
}

function link(): Link {
  const maxQueuedBytes = Number.isFinite(bytesPerMs)
    ? Math.max(16 * 1024, bytesPerMs * (delayMs + queueMs))
    : unlimitedBytes;
  return { delayMs, bytesPerMs, maxQueuedBytes, freeAtMs: 0 };
}

/** Takes bytes from one socket to another, each when it is due. */
function carry(from: Socket, to: Socket, line: Link): void {
  const queue: { readonly data: Buffer; readonly dueMs: number }[] = [];
  let queuedBytes = 0;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  let blocked = false;

  const deliver = () => {
    timer = undefined;
    let sentCount = 0;
    const nowMs = performance.now();
    to.cork();
    for (const { data, dueMs } of queue) {
      if (blocked || dueMs > nowMs) break;
      sentCount++;
      queuedBytes -= data.length;
      blocked = !to.write(data);
    }
    to.uncork();
    queue.splice(0, sentCount);
    if (queuedBytes < line.maxQueuedBytes) from.resume();
    const [first] = queue;
    if (first && !blocked) timer = setTimeout(deliver, Math.max(0, first.dueMs - nowMs));
    if (!first && ended) to.end();
  };
  from.on("data", (data: Buffer) => {
    const nowMs = performance.now();
    line.freeAtMs = Math.max(nowMs, line.freeAtMs) + data.length / line.bytesPerMs;
    queue.push({ data, dueMs: line.freeAtMs + line.delayMs });
    queuedBytes += data.length;
    if (queuedBytes >= line.maxQueuedBytes) from.pause();
    if (timer === undefined && !blocked) timer = setTimeout(deliver, Math.max(0, (queue[0]?.dueMs ?? 0) - nowMs));
  });
  to.on("drain", () => {
    blocked = false;
    if (timer === undefined) deliver();
  });
  from.on("end", () => {
    ended = true;
    if (queue.length === 0) to.end();
  });
  from.on("close", () => {
    if (!ended) to.destroy();
  });
}
