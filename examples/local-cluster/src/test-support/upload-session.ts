import { randomUUID } from "node:crypto";
import { channelOptions } from "@bilancia/proto/channel-options";
import { Ack, Priority, type UploadEvent, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { BalancerClient } from "@bilancia/proto/services";
import { credentials, type ServiceError, type StatusObject } from "@grpc/grpc-js";

type Outcome = Extract<UploadEvent["event"], { $case: "stored" | "rejected" }>;

/**
 * One upload stream, held by hand: what is sent, and when, is the test's choice, right or wrong. Whoever opens it closes it.
 */
export class UploadSession {
  readonly client: BalancerClient;
  /** Every event so far, in the order of arrival. */
  readonly events: UploadEvent[] = [];
  /** How the stream ended. */
  readonly status: Promise<StatusObject>;
  readonly #call: ReturnType<BalancerClient["uploadFile"]>;
  readonly #waiting = new Map<string, { resolve: (outcome: Outcome) => void; reject: (error: Error) => void }>();

  constructor(address: string) {
    this.client = new BalancerClient(address, credentials.createInsecure(), channelOptions);
    this.#call = this.client.uploadFile();
    this.#call.on("data", ({ events }: { events: UploadEvent[] }) => {
      for (const event of events) this.#take(event);
    });
    this.#call.on("error", (error: ServiceError) => this.#fail(error));
    this.status = new Promise((resolve) => {
      this.#call.once("status", (status) => {
        this.#fail(new Error(`the stream ended: ${status.details}`));
        resolve(status);
      });
    });
  }

  /** Sends one message. */
  send(...parts: Part<UploadHeader>[]): void {
    this.#call.write({ parts });
  }

  /** Sends one message, and resolves when the stream takes more: false when it has ended instead. */
  async sendSlowly(...parts: Part<UploadHeader>[]): Promise<boolean> {
    if (this.#call.write({ parts })) return true;
    const drained = new Promise<boolean>((resolve) => this.#call.once("drain", () => resolve(true)));
    return Promise.race([drained, this.status.then(() => false)]);
  }

  /** Sends a small file in one part and waits for its last event. */
  upload(header: UploadHeader, data: Uint8Array): Promise<Outcome> {
    const outcome = this.outcome(header.uploadId);
    this.send({ header, offset: 0, data, finish: {} });
    return outcome;
  }

  /** The last event of an upload. Rejects when the stream ends before it. */
  outcome(uploadId: string): Promise<Outcome> {
    const outcome = new Promise<Outcome>((resolve, reject) => this.#waiting.set(uploadId, { resolve, reject }));
    // A test may look at it later than the stream ends.
    outcome.catch(() => {});
    return outcome;
  }

  /** Half-closes the stream and waits for its end. */
  async end(): Promise<StatusObject> {
    this.#call.end();
    const status = await this.status;
    this.client.close();
    return status;
  }

  /** Drops the stream, whatever its state. */
  close(): void {
    this.#call.cancel();
    this.client.close();
  }

  #take(event: UploadEvent): void {
    this.events.push(event);
    if (event.event?.$case !== "stored" && event.event?.$case !== "rejected") return;
    this.#waiting.get(event.uploadId)?.resolve(event.event);
    this.#waiting.delete(event.uploadId);
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** A header of a binary file with a fresh id; what matters to the test is given. */
export function uploadHeader(fields: Partial<UploadHeader> & { name: string }): UploadHeader {
  return {
    uploadId: randomUUID(),
    contentType: "",
    kind: Kind.KIND_BINARY,
    ack: Ack.ACK_STORED,
    labels: {},
    priority: Priority.PRIORITY_UNSPECIFIED,
    ...fields,
  };
}

/** A text document of a given length, whose content can be made to cost a server time. */
export function textDocument(characters: number): Buffer {
  return Buffer.from(JSON.stringify({ title: "A document for a test", content: "balance ".repeat(characters / 8) }));
}

/** The receipt of a stored file, or a clear failure. */
export function receiptOf(outcome: Outcome) {
  if (outcome.$case === "rejected") throw new Error(`expected stored; came rejected: ${outcome.value.message}`);
  if (!outcome.value.receipt) throw new Error("stored, but without a receipt");
  return outcome.value.receipt;
}

/** The rejection of a file, or a clear failure. */
export function rejectionOf(outcome: Outcome) {
  if (outcome.$case === "stored") throw new Error(`expected rejected; came stored on ${outcome.value.receipt?.server}`);
  return outcome.value;
}
