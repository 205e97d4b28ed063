import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import type { ContentReader } from "@bilancia/balancer/dist/ports/content.js";
import type { Mark } from "./marks.js";
import { openQueue } from "./open-queue.js";

interface Expected {
  readonly number: number;
  readonly id: string;
  readonly sha256: string;
  acknowledged: boolean;
  /** Servers that may hold the whole file. */
  servers: Set<string>;
  /** Whether its outcome was being written down. */
  ended: boolean;
  discarding: boolean;
}

/** Opens a balancer's state as a crash has left it, and says what is wrong with it then. */
export async function judgeQueue(stateDir: string, marks: readonly Mark[], checked: boolean): Promise<string[]> {
  const violations: string[] = [];
  const expected = expectations(marks);
  const spooled = partFiles(path.join(stateDir, "spool"));
  const { queue, numbering, close, occurrences } = await openQueue(stateDir, checked);
  try {
    const highest = Math.max(0, ...expected.keys());
    if (numbering.last < BigInt(highest))
      violations.push(`number ${highest} has been given out, and may be given out again`);
    const suspected = new Set(queue.suspicions().map(({ requestNumber, server }) => `${requestNumber} ${server}`));
    const given = new Map<number, string>();
    for (let delivery = queue.take(); delivery; delivery = queue.take()) {
      const number = Number(delivery.requestNumber);
      if (given.has(number)) violations.push(`${number}: given out twice`);
      given.set(number, await digestOf(delivery.read()));
    }
    const letters = await queue.deadLetters.list(0n, 10_000);
    for (const file of expected.values()) {
      const { number, sha256 } = file;
      const state = queue.find({ requestNumber: BigInt(number) })?.state;
      const digest = given.get(number);
      if (digest !== undefined && digest !== sha256)
        violations.push(`${number}: given out with other bytes than were sent`);
      const isLetter = letters.some(({ requestNumber }) => Number(requestNumber) === number);
      if (
        file.acknowledged &&
        !file.discarding &&
        digest === undefined &&
        !(file.ended && (state?.kind === "stored" || isLetter))
      ) {
        violations.push(`${number}: acknowledged, and is ${state?.kind ?? "unknown"}`);
      }
      for (const server of file.servers) {
        const known = state?.kind === "stored" && state.receipt.server === server;
        if (!known && !suspected.has(`${number} ${server}`) && !file.ended) {
          violations.push(`${number}: may be on ${server}, which is not known`);
        }
      }
      if (state?.kind === "stored" && !file.ended) violations.push(`${number}: is stored, and no server has said so`);
    }
    for (const number of given.keys())
      if (!expected.has(number)) violations.push(`${number}: given out, and was never sent`);
    for (const number of spooled) {
      const left = ["", "quarantine"].some((folder) =>
        existsSync(path.join(stateDir, "spool", folder, `${number}.part`)),
      );
      const known = queue.find({ requestNumber: BigInt(number) });
      if (!left && !known) violations.push(`${number}: its spool file was deleted, although nothing is known of it`);
    }
    for (const occurrence of occurrences) {
      if (occurrence.kind === "fault") violations.push(`${occurrence.where}: ${occurrence.error}`);
      // A crash tears no entry: it is written in a transaction.
      if (occurrence.kind === "quarantined" && occurrence.what === "ledger entry") violations.push(occurrence.detail);
    }
  } finally {
    await close();
  }
  return violations;
}

function expectations(marks: readonly Mark[]): Map<number, Expected> {
  const files = new Map<number, Expected>();
  for (const mark of marks) {
    if (mark.kind === "sending") {
      const { number, id, sha256 } = mark;
      files.set(number, {
        number,
        id,
        sha256,
        acknowledged: false,
        servers: new Set(),
        ended: false,
        discarding: false,
      });
    }
    const file = files.get(mark.number);
    if (!file) continue;
    if (mark.kind === "acknowledged") file.acknowledged = true;
    if (mark.kind === "intended") file.servers.add(mark.server);
    if (mark.kind === "ended") file.ended = true;
    if (mark.kind === "discarding" || mark.kind === "discarded") file.discarding = true;
  }
  return files;
}

function partFiles(spoolDir: string): number[] {
  if (!existsSync(spoolDir)) return [];
  return readdirSync(spoolDir).flatMap((name) => (/^\d+[.]part$/.test(name) ? [Number.parseInt(name, 10)] : []));
}

async function digestOf(reader: ContentReader): Promise<string> {
  const hash = createHash("sha256");
  for (;;) {
    const content = await reader.next();
    if (content.kind === "broken") return `broken: ${content.message}`;
    if (content.kind === "end") return hash.digest("hex");
    hash.update(content.chunk.data);
  }
}
