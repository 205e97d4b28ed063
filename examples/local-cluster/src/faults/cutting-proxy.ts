import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP proxy between the balancer and one storage server that can cut connections at the worst moment: when an answer is on its way back, after the save. Whoever makes
 * it closes it.
 */
export class CuttingProxy {
  readonly #target: () => string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cutsLeft = 0;
  /** Connections cut so far with bytes on their way back. */
  cutCount = 0;

  private constructor(target: () => string) {
    this.#target = target;
    this.#server = createServer((near) => this.#join(near));
  }

  /** @param target `host:port` to go on to, asked anew for each connection */
  static async start(target: () => string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen");
    return `127.0.0.1:${address.port}`;
  }

  /** The next so many times that bytes flow back on a connection that has carried a file, they are dropped and the connection is cut. */
  cutAnswers(count: number): void {
    this.#cutsLeft = count;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(near: Socket): void {
    const [host, port] = this.#target().split(":");
    const far = connect(Number(port), host);
    let forwardBytes = 0;
    const cut = () => {
      near.destroy();
      far.destroy();
      this.#sockets.delete(near);
      this.#sockets.delete(far);
    };
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", cut);
      socket.on("close", cut);
    }
    near.on("data", (data) => {
      forwardBytes += data.length;
      if (!far.write(data)) near.pause();
    });
    far.on("drain", () => near.resume());
    far.on("data", (data) => {
      // Probes have a connection of their own, which carries less than this for a long time.
      if (this.#cutsLeft > 0 && forwardBytes > 16 * 1024) {
        this.#cutsLeft -= 1;
        this.cutCount += 1;
        cut();
        return;
      }
      if (!near.write(data)) far.pause();
    });
    near.on("drain", () => far.resume());
  }
}
