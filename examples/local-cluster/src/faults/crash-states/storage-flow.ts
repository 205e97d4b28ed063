import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { nodeDisk } from "@bilancia/storage-server/dist/disk.js";
import type { NewFile } from "@bilancia/storage-server/dist/file-store.js";
import { createLog } from "@bilancia/storage-server/dist/log.js";
import { openStorageDirectory } from "@bilancia/storage-server/dist/storage-directory.js";
import { Random } from "../random.js";
import { Marks } from "./marks.js";
import { flowOrigin, uploadIdOf } from "./storage-verdict.js";

/** A program to be recorded: saves, discards and trims in a storage server's folder, and is killed. What an earlier run left is taken up first. */
const [, , root = "", marksFile = "", firstNumber = "1"] = process.argv;
const marks = new Marks(marksFile);
const { store } = await openStorageDirectory({
  dir: root,
  wipe: false,
  disk: nodeDisk,
  log: createLog("silent"),
  onBroken: (error) => {
    throw error;
  },
});
let number = Number(firstNumber);
const random = new Random(number);

function newFile(bytes: Buffer): NewFile {
  const mine = number++;
  const name = `${mine}.bin`;
  const sha256 = createHash("sha256").update(bytes).digest();
  marks.put({ kind: "sending", number: mine, id: uploadIdOf(mine), name, sha256: sha256.toString("hex") });
  const id = { origin: flowOrigin, requestNumber: BigInt(mine) };
  return { id, uploadId: uploadIdOf(mine), fence: { term: 1n, attempt: 1 }, name, sizeBytes: bytes.length, sha256 };
}

async function save(length: number): Promise<NewFile> {
  const bytes = random.bytes(length);
  const file = newFile(bytes);
  await store.saveWhole(file, [bytes]);
  marks.put({ kind: "acknowledged", number: Number(file.id.requestNumber) });
  return file;
}

async function saveInParts(length: number): Promise<NewFile> {
  const bytes = random.bytes(length);
  const file = newFile(bytes);
  const draft = await store.begin();
  for (let at = 0; at < length; at += 100_000) await draft.write([bytes.subarray(at, at + 100_000)]);
  await draft.save(file);
  marks.put({ kind: "acknowledged", number: Number(file.id.requestNumber) });
  return file;
}

async function discard(file: NewFile): Promise<void> {
  const mark = { number: Number(file.id.requestNumber) };
  marks.put({ kind: "discarding", ...mark });
  await store.discard({ ...file, fence: { term: 1n, attempt: 2 } });
  marks.put({ kind: "discarded", ...mark });
}

const few = await Promise.all([0, 1, 700, 5_000, 20_000, 64 * 1024].map(save));
const [alone] = [await save(3_000), await saveInParts(150_000)];
const [larger] = await Promise.all([saveInParts(300_000), save(90_000), save(4_096)]);
await discard(alone);
await discard(larger);
// Long enough for what is in the journal by then to be trimmed.
await delay(1_300);
await Promise.all(Array.from({ length: 8 }, () => save(random.between(1, 9_000))));
for (const file of few.slice(0, 2)) await discard(file);
const [again] = few.slice(2);
const known = again && (await store.find(again.id));
if (again && known?.state === "stored") await store.raiseFence(again.id, known.record, { term: 1n, attempt: 2 });
await (await store.begin()).write([random.bytes(10_000)]);
await Promise.all([saveInParts(70_000), save(1_000), save(2_000)]);
process.kill(process.pid, "SIGKILL");
