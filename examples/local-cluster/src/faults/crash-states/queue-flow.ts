import { createHash, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { AckStage } from "@bilancia/cli/client/upload-types";
import { crc32c } from "@node-rs/crc32";
import { Random } from "../random.js";
import { Marks } from "./marks.js";
import { openQueue } from "./open-queue.js";

/** A program to be recorded: enqueues in a balancer's state folder, delivers, gives up and discards, and is killed. What an earlier run left is taken up first. */
const [, , root = "", marksFile = ""] = process.argv;
const marks = new Marks(marksFile);
const { queue, numbering } = await openQueue(root);
queue.start();
const random = new Random(numbering.term);
const chunkBytes = 64 * 1024;

interface Sent {
  readonly number: number;
  readonly id: string;
  /** Resolves when the queue has answered. */
  readonly answered: Promise<void>;
}

/** Sends a file, or the first part of one and leaves then. */
function send(length: number, ack: AckStage, sentBytes = length): Sent {
  const bytes = random.bytes(length);
  const id = randomUUID();
  const name = `${id}.bin`;
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const listener = {
    client: "flow",
    uploadProgress: (_: string, requestNumber: bigint, { kind }: { kind: string }) => {
      if (kind === "queued") marks.put({ kind: "acknowledged", number: Number(requestNumber) });
      answer();
    },
  };
  const opened = queue.open({ uploadId: id, name, contentType: "", kind: "binary", ack, labels: {} }, listener);
  if (opened.kind !== "receiving") throw new Error(`the queue says ${opened.kind}`);
  const { upload } = opened;
  const number = Number(upload.requestNumber);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  marks.put({ kind: "sending", number, id, name, sha256 });
  for (let at = 0; at < sentBytes; at += chunkBytes) {
    const data = bytes.subarray(at, Math.min(sentBytes, at + chunkBytes));
    upload.append({ offset: at, data, crc32c: crc32c(data) });
  }
  if (sentBytes === length) upload.complete({});
  else queue.leave(upload.requestNumber, listener);
  return { number, id, answered };
}

/** Takes the next upload and gives it to a server, which answers so. */
async function deliver(outcome: "saved" | "lost" | "refused for good"): Promise<void> {
  const delivery = queue.take();
  if (!delivery) throw new Error("there is nothing to deliver");
  const number = Number(delivery.requestNumber);
  const whole = await delivery.whole(Number.MAX_SAFE_INTEGER);
  if (!whole) throw new Error("the upload is not complete");
  delivery.begin("storage-1");
  await delivery.intend();
  marks.put({ kind: "intended", number, server: "storage-1" });
  if (outcome === "lost") {
    delivery.requeue("lost", "the answer was lost", 0);
    return;
  }
  marks.put({ kind: "ended", number });
  const sha256 = createHash("sha256").update(whole.data).digest();
  if (outcome === "saved") delivery.stored({ storedName: `${number}_x`, sizeBytes: whole.data.length, sha256 });
  else delivery.reject("refused", { reason: "ATTEMPTS_EXHAUSTED", message: "given up" });
}

const small = [10, 500, 3_000, 20_000, 64 * 1024].map((length) => send(length, "queued"));
await Promise.all(small.map(({ answered }) => answered));
await send(0, "queued").answered;
const large = [send(100_000, "queued"), send(700_000, "queued")];
send(900_000, "stored", 600_000);
await Promise.all(large.map(({ answered }) => answered));
for (const outcome of ["saved", "lost", "refused for good", "saved"] as const) await deliver(outcome);
send(2_000, "stored");
await send(9_000, "queued").answered;
for (let count = 0; count < 4; count++) await deliver("saved");
const [letter, another] = await queue.deadLetters.list(0n, 2);
if (letter) {
  marks.put({ kind: "discarding", number: Number(letter.requestNumber) });
  await queue.deadLetters.discard(letter.requestNumber);
  marks.put({ kind: "discarded", number: Number(letter.requestNumber) });
}
if (another) await queue.deadLetters.retry(another.requestNumber);
const last = Array.from({ length: 6 }, () => send(random.between(1, 5_000), "queued"));
await Promise.race([Promise.all(last.map(({ answered }) => answered)), delay(2_000)]);
send(150_000, "queued");
send(800_000, "stored", 700_000);
await delay(30);
process.kill(process.pid, "SIGKILL");
