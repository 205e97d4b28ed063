import assert from "node:assert/strict";
import { connect, createServer, type Server } from "node:net";
import { type LinkOptions, startLink } from "./scripts.js";

describe("the link", () => {
  let server: Server;
  let target: string;
  let received: Buffer[];
  beforeEach(async () => {
    received = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("data", (data: Buffer) => received.push(data));
      socket.on("end", () => socket.end("all"));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    target = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  });
  afterEach(() => server.close());

  /** Sends bytes over a link and waits for the answer; returns how long that took, in milliseconds. */
  async function send(data: Buffer, options: LinkOptions): Promise<number> {
    const link = await startLink({ server: target }, options);
    try {
      const [host, port] = link.addressOf("server").split(":");
      const socket = connect({ host: host as string, port: Number(port), allowHalfOpen: true });
      const startMs = performance.now();
      let answer = "";
      socket.on("data", (words: Buffer) => {
        answer += words.toString();
      });
      const ended = new Promise((resolve) => socket.once("end", resolve));
      socket.end(data);
      await ended;
      assert.equal(answer, "all");
      assert.ok(Buffer.concat(received).equals(data));
      return performance.now() - startMs;
    } finally {
      await link.stop();
    }
  }

  const data = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

  it("takes bytes there and back, each as late as it should be", async () => {
    assert.ok((await send(data, { delayMs: 50 })) >= 99);
  });

  it("lets no more through than it should", async () => {
    assert.ok((await send(data, { bytesPerSecond: 1_000_000 })) >= 290);
  });
});
