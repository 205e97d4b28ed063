import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Child, freeAddress } from "./child.js";

const inbox = "_INBOX.bench";
const stream = "FILES";

/** A JetStream stream on a nats-server of its own: a message is acknowledged once the stream has it. Whoever starts it stops it. */
export class NatsStream {
  readonly #child: Child;
  readonly #socket: Socket;
  readonly #waiting = new Map<string, (answer: Record<string, unknown>) => void>();
  #lastReply = 0;
  #unread: Buffer = Buffer.alloc(0);

  private constructor(child: Child, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (data: Buffer) => this.#read(data));
  }

  /** @param dir where it keeps its files @throws Error when it does not come up */
  static async start(program: string, dir: string): Promise<NatsStream> {
    const address = await freeAddress();
    const [host = "", port = ""] = address.split(":");
    const child = new Child("nats-server", program, ["-a", host, "-p", port, "-js", "-sd", join(dir, "jetstream")]);
    await child.listens(address);
    const socket = connect(Number(port), host);
    const started = new NatsStream(child, socket);
    socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${inbox}.* 1\r\n`);
    const config = { name: stream, subjects: ["files"], storage: "file", retention: "limits" };
    // JetStream is ready a moment after the port is.
    for (let triesLeft = 100; ; triesLeft--) {
      const answer = await Promise.race([
        started.#request(`$JS.API.STREAM.CREATE.${stream}`, Buffer.from(JSON.stringify(config))),
        delay(100, { error: "no answer" }),
      ]);
      if (!("error" in answer)) return started;
      if (triesLeft === 0) throw new Error(`nats-server makes no stream: ${JSON.stringify(answer.error)}`);
    }
  }

  /** Resolves once the stream has the bytes. @throws Error when it does not take them */
  async publish(data: Buffer): Promise<void> {
    const answer = await this.#request("files", data);
    if (answer.stream !== stream || answer.error) throw new Error(`nats-server: ${JSON.stringify(answer)}`);
  }

  /** How many messages it has. */
  async messagesCount(): Promise<number> {
    const { state } = await this.#request(`$JS.API.STREAM.INFO.${stream}`, Buffer.alloc(0));
    return Number((state as { messages?: number } | undefined)?.messages);
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    await this.#child.stop();
  }

  #request(subject: string, data: Buffer): Promise<Record<string, unknown>> {
    const reply = `${inbox}.${++this.#lastReply}`;
    const answer = new Promise<Record<string, unknown>>((resolve) => this.#waiting.set(reply, resolve));
    this.#socket.cork();
    this.#socket.write(`PUB ${subject} ${reply} ${data.length}\r\n`);
    this.#socket.write(data);
    this.#socket.write("\r\n");
    process.nextTick(() => this.#socket.uncork());
    return answer;
  }

  /** https://docs.nats.io/reference/reference-protocols/nats-protocol */
  #read(data: Buffer): void {
    let rest = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
    for (;;) {
      const lineEnd = rest.indexOf("\r\n");
      if (lineEnd < 0) break;
      const words = rest.toString("latin1", 0, lineEnd).split(" ");
      let end = lineEnd + 2;
      if (words[0] === "PING") this.#socket.write("PONG\r\n");
      if (words[0] === "-ERR") throw new Error(`nats-server: ${words.join(" ")}`);
      if (words[0] === "MSG") {
        const bytes = Number(words.at(-1));
        if (rest.length < end + bytes + 2) break;
        const answer: Record<string, unknown> = JSON.parse(rest.toString("utf8", end, end + bytes));
        end += bytes + 2;
        const [, reply = ""] = words;
        this.#waiting.get(reply)?.(answer);
        this.#waiting.delete(reply);
      }
      rest = rest.subarray(end);
    }
    this.#unread = rest;
  }
}
