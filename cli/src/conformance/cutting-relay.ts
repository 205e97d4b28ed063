import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Passes one TCP connection on to a server, and cuts it after so many bytes from the client, wherever that falls. */
export interface CuttingRelay {
  /** `host:port` to connect to. */
  readonly address: string;
  /** Resolves when the connection has been cut. */
  readonly cut: Promise<void>;
  close(): void;
}

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
  const sockets = new Set<Socket>();
  let isCut = () => {};
  const cut = new Promise<void>((resolve) => {
    isCut = resolve;
  });
  const colon = target.lastIndexOf(":");
  const host = target.slice(0, colon).replace(/^\[|\]$/g, "");
  const server = createServer((near) => {
    const far = connect(Number(target.slice(colon + 1)), host);
    sockets.add(near).add(far);
    let leftBytes = afterBytes;
    const end = () => {
      near.destroy();
      far.destroy();
      isCut();
    };
    near.on("data", (bytes) => {
      const passed = bytes.subarray(0, leftBytes);
      leftBytes -= passed.length;
      if (!far.write(passed)) {
        near.pause();
        far.once("drain", () => near.resume());
      }
      // Only once the bytes are out: destroying a socket drops what it has not written.
      if (leftBytes === 0) far.end(end);
    });
    far.pipe(near);
    for (const socket of [near, far]) socket.once("error", end).once("close", end);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
