import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { BilanciaError } from "../domain/errors.js";
import type { UploadDescription } from "../domain/upload.js";
import { type DeliverySystem, maxQueuedFiles } from "./delivery-system.js";
import type { Misbehaviour } from "./fake-server.js";
import { RecordingListener } from "./queue-fixtures.js";

/** One file as its client knows it, and nothing of how the system works. */
interface ClientFile {
  readonly description: UploadDescription;
  readonly bytes: Buffer;
  /** How much of it has been sent, in bytes. */
  sentBytes: number;
  complete: boolean;
  /** It was sent to its end at some time: a server may have it, whatever the balancer has forgotten since. */
  wasComplete: boolean;
  /** The balancer died since something of it was sent: what was not acknowledged may be gone. */
  doubtful: boolean;
  cancelled: boolean;
  requestNumber: bigint | undefined;
  readonly listeners: RecordingListener[];
}

/** The clients' files, by slot. */
export type Model = { readonly files: Map<number, ClientFile> };

type Command = fc.AsyncCommand<Model, DeliverySystem>;

const chunkBytes = 64 * 1024;
/** Far more than it takes, and little enough for a failure to be made smaller. */
const agreeTimeoutMs = 3_000;
const slot = fc.nat({ max: 9 });
const server = fc.nat({ max: 2 });
/** Small ones in the ledger, larger ones in memory or in the spool's file, and such that are passed on while they arrive. */
const sizeBytes = fc.constantFrom(0, 1, 3_000, 64 * 1024, 100_000, 400_000, 700_000);

/** A sequence of things that happen to a balancer, in any order. */
export function happenings(): fc.Arbitrary<Iterable<Command>> {
  const send = fc
    .record({
      slot,
      sizeBytes,
      ack: fc.constantFrom("stored" as const, "queued" as const),
      part: fc.constantFrom(0.4, 1, 1),
    })
    .map((options) => new Send(options));
  const simple = (name: string, run: (model: Model, system: DeliverySystem) => Promise<void>) =>
    fc.constant(new Happening(name, run));
  const toServer = (name: string, run: (system: DeliverySystem, index: number) => void) =>
    server.map((index) => new Happening(`${name} storage-${index + 1}`, async (_, system) => run(system, index)));
  const flip = (name: "up" | "overloaded" | "draining") =>
    toServer(`flip ${name} of`, (system, index) => {
      const fake = at(system.servers, index);
      fake[name] = !fake[name];
      system.changed(fake);
    });
  const misbehave = (how: Misbehaviour) =>
    toServer(`${how} next by`, (system, index) => at(system.servers, index).next.push(how));
  return fc.commands(
    [
      send,
      send,
      slot.map(
        (which) => new Happening(`client of ${which} leaves`, async (model, system) => leave(model, system, which)),
      ),
      slot.map((which) => new Happening(`cancel ${which}`, async (model, system) => cancel(model, system, which))),
      simple("kill", async (model, system) => {
        await system.restart();
        for (const file of model.files.values()) file.doubtful = true;
      }),
      ...[flip("up"), flip("overloaded"), flip("draining")],
      ...[misbehave("lost"), misbehave("busy"), misbehave("refused")],
      fc.constantFrom(1_000, 60_000).map(
        (ms) =>
          new Happening(`${ms} ms pass`, async (_, system) => {
            system.nowMs += ms;
          }),
      ),
      fc.nat({ max: 20 }).map(
        (turns) =>
          new Happening(`${turns} turns`, async () => {
            for (let left = turns; left > 0; left--) await turn();
          }),
      ),
    ],
    { maxCommands: 40, size: "max" },
  ) as fc.Arbitrary<Iterable<Command>>;
}

class Happening implements Command {
  readonly #name: string;
  readonly #run: (model: Model, system: DeliverySystem) => Promise<void>;

  constructor(name: string, run: (model: Model, system: DeliverySystem) => Promise<void>) {
    this.#name = name;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, system: DeliverySystem): Promise<void> {
    await this.#run(model, system);
  }

  toString(): string {
    return this.#name;
  }
}

interface SendOptions {
  readonly slot: number;
  readonly sizeBytes: number;
  readonly ack: "stored" | "queued";
  /** How much of what is missing is sent. */
  readonly part: number;
}

/** A client sends a file, or goes on with one, or sends it once more. */
class Send implements Command {
  readonly #options: SendOptions;

  constructor(options: SendOptions) {
    this.#options = options;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, system: DeliverySystem): Promise<void> {
    const known = model.files.get(this.#options.slot);
    const file = known ?? newFile(this.#options);
    if (sendFile(file, system, this.#options.part, known === undefined)) model.files.set(this.#options.slot, file);
  }

  toString(): string {
    const { slot: which, sizeBytes: bytes, ack, part } = this.#options;
    return `send ${part} of ${which} (${bytes} B, ${ack})`;
  }
}

/** @returns whether the file is with the balancer now */
function sendFile(file: ClientFile, system: DeliverySystem, part: number, isNew: boolean): boolean {
  const { receivingFiles, queuedFiles, dispatchingFiles } = system.queue.counts();
  const isFull = receivingFiles + queuedFiles + dispatchingFiles >= maxQueuedFiles;
  const listener = new RecordingListener();
  const acknowledged = isAcknowledged(file);
  const opened = system.queue.open(file.description, listener);
  file.listeners.push(listener);
  if (opened.kind === "rejected") {
    assert.equal(opened.rejection.reason, "QUEUE_FULL");
    assert.ok(isFull, "the queue says that it is full, and is not");
    assert.ok(isNew || !acknowledged, "what was acknowledged is not known any more");
    return !isNew;
  }
  if (opened.kind === "known") {
    assert.ok(
      file.wasComplete || file.cancelled || wasRejected(file),
      "the balancer claims to have what was never sent in full",
    );
    if (file.requestNumber !== undefined && !file.doubtful) assert.equal(opened.requestNumber, file.requestNumber);
    file.requestNumber = opened.requestNumber;
    return true;
  }
  assert.ok(!acknowledged || wasRejected(file), "the balancer wants again what it has acknowledged");
  if (isNew) assert.ok(!isFull, "the queue is full, and takes a file");
  const { upload } = opened;
  assert.ok(upload.receivedBytes <= file.sentBytes, "the balancer claims to have more than was sent");
  if (!file.doubtful && !file.complete && !wasRejected(file)) assert.equal(upload.receivedBytes, file.sentBytes);
  const { bytes } = file;
  const end =
    part === 1 ? bytes.length : Math.min(bytes.length, upload.receivedBytes + Math.floor(bytes.length * part));
  for (let from = upload.receivedBytes; from < end; from += chunkBytes) {
    const data = bytes.subarray(from, Math.min(end, from + chunkBytes));
    upload.append({ offset: from, data, crc32c: crc32c(data) });
  }
  file.requestNumber = upload.requestNumber;
  file.sentBytes = end;
  file.doubtful = false;
  file.complete = part === 1;
  file.wasComplete ||= file.complete;
  if (file.complete) upload.complete({});
  return true;
}

function leave(model: Model, system: DeliverySystem, which: number): void {
  const file = model.files.get(which);
  const listener = file?.listeners.at(-1);
  if (file?.requestNumber !== undefined && listener) system.queue.leave(file.requestNumber, listener);
}

function cancel(model: Model, system: DeliverySystem, which: number): void {
  const file = model.files.get(which);
  if (!file) return;
  try {
    void system.queue.cancel({ uploadId: file.description.uploadId });
    assert.ok(!told(file, "stored"), "what is stored was cancelled");
    file.cancelled = true;
  } catch (error) {
    if (!(error instanceof BilanciaError)) throw error;
    if (error.reason === "UNKNOWN_UPLOAD")
      assert.ok(file.doubtful || wasRejected(file), "an upload is not known any more");
    else assert.equal(error.reason, "NOT_CANCELLABLE");
  }
}

/**
 * Everything is well again, every client comes back until its file is stored, and the operator tries dead letters once more. Then the model and the system must agree: each
 * file is on exactly one server, once, with the bytes that were sent; a cancelled one is nowhere.
 */
export async function agree(model: Model, system: DeliverySystem): Promise<void> {
  for (const fake of system.servers) {
    Object.assign(fake, { up: true, overloaded: false, draining: false });
    fake.next.length = 0;
    system.changed(fake);
  }
  for (const file of model.files.values()) {
    if (file.cancelled) continue;
    await eventually(
      "a file to be stored",
      async () => {
        const { requestNumber } = file;
        if (told(file, "stored")) return true;
        for (const { requestNumber: dead } of await system.queue.deadLetters.list(0n, 100)) await retry(system, dead);
        const state = requestNumber === undefined ? undefined : system.queue.find({ requestNumber })?.state.kind;
        const isUnderWay = file.complete && !file.doubtful && (state === "queued" || state === "dispatching");
        if (!isUnderWay) sendFile(file, system, 1, false);
        await turn();
        return told(file, "stored");
      },
      agreeTimeoutMs,
    );
  }
  await eventually(
    "the queue to come to rest",
    () => {
      const { receivingFiles, queuedFiles, dispatchingFiles } = system.queue.counts();
      return receivingFiles + queuedFiles + dispatchingFiles === 0;
    },
    agreeTimeoutMs,
  );
  await eventually(
    "extra copies to be gone",
    () => [...model.files.values()].every((file) => copies(file, system) === (file.cancelled ? 0 : 1)),
    agreeTimeoutMs,
  );
  for (const file of model.files.values()) {
    if (file.cancelled) continue;
    const state = system.queue.find({ uploadId: file.description.uploadId })?.state;
    assert.equal(state?.kind, "stored");
    const holder = system.servers.find(({ name }) => name === state.receipt.server);
    const stored = holder?.files.get(state.receipt.requestNumber)?.bytes;
    assert.ok(stored?.equals(file.bytes), "the receipt names a server that does not have the file");
    assert.deepEqual(Buffer.from(state.receipt.sha256), createHash("sha256").update(file.bytes).digest());
  }
}

/** The operator tries a dead letter once more; its client may have been faster. */
async function retry(system: DeliverySystem, requestNumber: bigint): Promise<void> {
  try {
    await system.queue.deadLetters.retry(requestNumber);
  } catch (error) {
    if (!(error instanceof BilanciaError)) throw error;
    const state = system.queue.find({ requestNumber })?.state.kind;
    assert.notEqual(state, "dead", "a dead letter cannot be tried again");
  }
}

function copies({ description }: ClientFile, { servers }: DeliverySystem): number {
  const all = servers.flatMap(({ files }) => [...files.values()]);
  return all.filter(({ uploadId }) => uploadId === description.uploadId).length;
}

function newFile({ slot: which, sizeBytes: length, ack }: SendOptions): ClientFile {
  const uploadId = `00000000-0000-4000-8000-${String(which).padStart(12, "0")}`;
  const bytes = Buffer.alloc(length, `${which} `);
  return {
    description: { uploadId, name: `${which}.bin`, contentType: "", kind: "binary", ack, labels: {} },
    ...{
      bytes,
      sentBytes: 0,
      complete: false,
      wasComplete: false,
      doubtful: false,
      cancelled: false,
      requestNumber: undefined,
      listeners: [],
    },
  };
}

function told({ listeners }: ClientFile, what: string): boolean {
  return listeners.some((listener) => listener.told.includes(what));
}

function isAcknowledged(file: ClientFile): boolean {
  return told(file, "queued") || told(file, "stored");
}

/** It was given up, which its client may not have heard: the balancer may have forgotten it then. */
function wasRejected({ listeners }: ClientFile): boolean {
  return listeners.some((listener) => listener.told.some((words) => words.startsWith("rejected")));
}

function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}
