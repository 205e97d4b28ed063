import { type ChildProcess, spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const readyTimeoutMs = 10_000;
const graceMs = 5_000;

/** A program that was started for a benchmark, with whatever it has started itself. Ends with this process at the latest. */
export class Child {
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #words: string[] = [];
  readonly #killAll = () => this.#signal("SIGKILL");
  #running = true;

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
  ) {
    // A group of its own: Ctrl-C reaches this process only, and one signal ends the program's own children too.
    this.#process = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on("data", (words: Buffer) => this.#words.push(words.toString()));
    this.#exited = new Promise((resolve) => {
      const end = () => {
        this.#running = false;
        process.off("exit", this.#killAll);
        resolve();
      };
      this.#process.once("exit", end);
      this.#process.once("error", (error) => {
        this.#words.push(error.message);
        end();
      });
    });
    // First, so that nothing writes any more when folders are removed.
    process.prependListener("exit", this.#killAll);
  }

  /** Waits until it accepts connections. @throws Error, with its own words, when it ends before or takes too long */
  async listens(address: string): Promise<void> {
    const deadlineMs = performance.now() + readyTimeoutMs;
    while (!(await accepts(address))) {
      if (!this.#running || performance.now() > deadlineMs) {
        await this.stop();
        throw new Error(`${this.name} does not serve at ${address}: ${this.#words.join("").trim() || "no words"}`);
      }
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    this.#signal("SIGTERM");
    const timer = setTimeout(this.#killAll, graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    if (this.#running && pid !== undefined) process.kill(-pid, signal);
  }
}

/** An address on 127.0.0.1 that nobody uses now. */
export async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return `127.0.0.1:${address.port}`;
}

function accepts(address: string): Promise<boolean> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    const end = (reached: boolean) => {
      socket.destroy();
      resolve(reached);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
