import assert from "node:assert/strict";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { QueueLimits } from "../domain/admission.js";
import { BilanciaError, type RejectReason } from "../domain/errors.js";
import type { Inbox } from "../ports/inbox.js";
import type { Delivery, Outbox } from "../ports/outbox.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { roomy } from "./test-queue.js";

export type TestedQueue = Inbox & Outbox & UploadDirectory;

/** A queue to be tested, empty, and how to get rid of it. */
export interface QueueUnderTest {
  readonly queue: TestedQueue;
  stop(): Promise<void>;
}

/** What a server says of a small file. */
export const saved = { storedName: "1_a.bin", sizeBytes: 5, sha256: new Uint8Array(32) };
/** A file of so many bytes is passed on while it arrives. */
export const large = 300 * 1024;

/** Holds the queue that a test works on, a new one for each. */
export class QueueBench {
  readonly #make: (limits: QueueLimits) => Promise<QueueUnderTest>;
  #made: QueueUnderTest | undefined;

  constructor(make: (limits: QueueLimits) => Promise<QueueUnderTest>) {
    this.#make = make;
  }

  get queue(): TestedQueue {
    assert.ok(this.#made, "no test is running");
    return this.#made.queue;
  }

  /** Puts an empty queue in place of the one before. */
  async begin(limits: QueueLimits = roomy): Promise<TestedQueue> {
    await this.end();
    this.#made = await this.#make(limits);
    return this.#made.queue;
  }

  async end(): Promise<void> {
    await this.#made?.stop();
    this.#made = undefined;
  }

  readonly take = (): Delivery => {
    const delivery = this.queue.take();
    assert.ok(delivery, "expected something to deliver");
    return delivery;
  };

  /** Waits for something to be given out: after a delay, or once a reader has let go. */
  readonly taken = async (): Promise<Delivery> => {
    let delivery = this.queue.take();
    await eventually("something to deliver", () => {
      delivery ??= this.queue.take();
      return delivery !== undefined;
    });
    return delivery as Delivery;
  };

  readonly store = (delivery: Delivery, server = "storage-1"): void => {
    delivery.begin(server);
    delivery.stored(saved);
  };

  /** Why an upload cannot be cancelled; `undefined` when it has been. */
  readonly cancelReason = (uploadId: string): RejectReason | "UNKNOWN_UPLOAD" | undefined => {
    try {
      void this.queue.cancel({ uploadId });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof BilanciaError);
      return error.reason;
    }
  };
}
