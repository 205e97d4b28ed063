import { Dispatcher } from "../dispatch/dispatcher.js";
import { FakePool } from "./fake-pool.js";
import { FakeServer } from "./fake-server.js";
import { openTestQueue, roomy, type TestQueue } from "./test-queue.js";

/** Files that the queue takes at a time. */
export const maxQueuedFiles = 6;
/** After this time a delivery that fails is given up, in milliseconds. */
const deliveryDeadlineMs = 100_000;

/** The real queue and the real dispatcher over a folder, and servers in memory that outlive them. Time passes only when it is told to. */
export class DeliverySystem {
  readonly servers = [new FakeServer("storage-1", 3), new FakeServer("storage-2", 1), new FakeServer("storage-3", 1)];
  nowMs = 1_700_000_000_000;
  readonly #folder: string;
  #life: { readonly opened: TestQueue; readonly pool: FakePool; readonly dispatcher: Dispatcher } | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(folder: string): Promise<DeliverySystem> {
    const system = new DeliverySystem(folder);
    await system.#start();
    return system;
  }

  get queue(): TestQueue["queue"] {
    return this.#running.opened.queue;
  }

  /** What was told since the last start. */
  get noted(): TestQueue["noted"] {
    return this.#running.opened.noted;
  }

  /** A server has become another: it is noticed. */
  changed(server: FakeServer): void {
    this.#running.pool.changed(server);
  }

  /** The balancer dies, and another one takes up what is durable. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#start();
  }

  async stop(): Promise<void> {
    const { opened, pool, dispatcher } = this.#running;
    pool.cutOff();
    await dispatcher.stop(0);
    await opened.crash();
  }

  get #running() {
    if (!this.#life) throw new Error("the system has not been started");
    return this.#life;
  }

  async #start(): Promise<void> {
    const clock = { nowMs: () => this.nowMs, random: () => 0 };
    const limits = { ...roomy, maxFiles: maxQueuedFiles };
    const opened = await openTestQueue(this.#folder, { limits, nowMs: clock.nowMs });
    const pool = new FakePool(this.servers);
    const dispatcher = new Dispatcher({
      ...{ outbox: opened.queue, pool: pool.asPool, ledger: opened.numbering, clock },
      retry: {
        maxAttempts: 1_000,
        deadlineMs: deliveryDeadlineMs,
        baseDelayMs: 0,
        maxDelayMs: 0,
        answerTimeoutMs: 60_000,
      },
      observer: { note: () => {} },
    });
    this.#life = { opened, pool, dispatcher };
    dispatcher.start();
  }
}
