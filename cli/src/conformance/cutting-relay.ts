import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Passes one TCP connection on to a server, and cuts it after so many bytes from the client, wherever that falls. */
export interface CuttingRelay {
  /** `host:port` to connect to. */
  readonly address: string;
  /** Ends what is left, and waits until the server has closed its side: it has read all that got through then, and what is sent to it next comes later. */
  close(): Promise<void>;
}

/** How long a server may take to close a connection that has ended, in milliseconds. */
const farCloseMs = 5_000;
const cutsCount = 12;
/** More than the headers of HTTP/2 and of the messages of a file take on the wire, in bytes. */
const framingBytes = 4_000;

/**
 * After how many bytes connections that carry a file are to be cut: the same ones for the same seed.
 *
 * @param sizeBytes length of the file
 */
export function* randomCuts(seed: number, sizeBytes: number): Generator<number> {
  let state = seed;
  for (let cut = 0; cut < cutsCount; cut++) {
    // A linear congruential generator (Numerical Recipes).
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield 1 + (state % (sizeBytes + framingBytes));
  }
}

/**
 * @param target `host:port` of the server
 * @param afterBytes how many bytes from the client get through
 */
export async function startCuttingRelay(target: string, afterBytes: number): Promise<CuttingRelay> {
  const connections = new Set<{ readonly near: Socket; readonly far: Socket; readonly closed: Promise<unknown> }>();
  const colon = target.lastIndexOf(":");
  const host = target.slice(0, colon).replace(/^\[|\]$/g, "");
  const server = createServer((near) => {
    const far = connect(Number(target.slice(colon + 1)), host);
    const closed = new Promise((resolve) => far.once("close", resolve));
    connections.add({ near, far, closed });
    let leftBytes = afterBytes;
    near.on("data", (bytes) => {
      const passed = bytes.subarray(0, leftBytes);
      leftBytes -= passed.length;
      if (!far.write(passed)) {
        near.pause();
        far.once("drain", () => near.resume());
      }
      if (leftBytes === 0) near.destroy();
    });
    far.pipe(near);
    // Not destroyed: that would drop what it has not written.
    near.once("error", () => {}).once("close", () => far.resume().end());
    far.once("error", () => {}).once("close", () => near.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      await Promise.all(
        [...connections].map(async ({ near, far, closed }) => {
          near.destroy();
          await Promise.race([closed, delay(farCloseMs, undefined, { ref: false })]);
          far.destroy();
        }),
      );
    },
  };
}
