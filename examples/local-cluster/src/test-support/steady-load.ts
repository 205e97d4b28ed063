import assert from "node:assert/strict";
import { storedFiles } from "../folder-listing.js";
import { eventually } from "./eventually.js";
import { receiptOf, UploadSession, uploadHeader } from "./upload-session.js";

const uploaders = 32;

const fileName = (number: number): string => `${number}.bin`;

/** Uploaders that never pause. An upload that fails, fails the test. */
export class SteadyLoad {
  /** Where each file went, by name, in the order of the receipts. */
  readonly servers = new Map<string, string>();
  readonly #session: UploadSession;
  readonly #work: Promise<unknown>;
  #sent = 0;
  #stopping = false;

  constructor(address: string) {
    this.#session = new UploadSession(address);
    this.#work = Promise.all(Array.from({ length: uploaders }, () => this.#upload()));
    // A failure is told by `stop`.
    this.#work.catch(() => {});
  }

  /** How many files have been sent; the next one has this number. */
  get sent(): number {
    return this.#sent;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    try {
      await this.#work;
    } finally {
      this.#session.close();
    }
  }

  /** The shares of the next files to be sent, in percent, by server: by what was sent and not by what came back, for one slow flush of a server shifts the answers of all that it holds. */
  async shares(sampleFiles = 800): Promise<Record<string, number>> {
    const from = this.#sent;
    const sample = Array.from({ length: sampleFiles }, (_, index) => fileName(from + index));
    await eventually(() => assert.ok(sample.every((name) => this.servers.has(name))), 90_000);
    const counts: Record<string, number> = {};
    for (const name of sample) {
      const server = this.servers.get(name) ?? "";
      counts[server] = (counts[server] ?? 0) + 100 / sampleFiles;
    }
    return counts;
  }

  /** Fails unless each file is on one disk, that of the server of its receipt, and nothing else is on any. */
  async assertStoredOnce(servers: readonly { readonly name: string; readonly dir: string }[]): Promise<void> {
    const homes = new Map<string, string[]>();
    for (const { name: server, dir } of servers)
      for (const { name } of await storedFiles(dir)) homes.set(name, [...(homes.get(name) ?? []), server]);
    for (const [name, server] of this.servers) assert.deepEqual(homes.get(name), [server], name);
    assert.equal(homes.size, this.servers.size);
  }

  async #upload(): Promise<void> {
    while (!this.#stopping) {
      const name = fileName(this.#sent++);
      const outcome = await this.#session.upload(uploadHeader({ name }), Buffer.from(name.repeat(20)));
      this.servers.set(name, receiptOf(outcome).server);
    }
  }
}

/** Fails unless each server's share, in percent, is within four points of what its weight says. */
export function assertShares(shares: Record<string, number>, weights: Record<string, number>): void {
  const sum = Object.values(weights).reduce((total, weight) => total + weight, 0);
  for (const server of new Set([...Object.keys(shares), ...Object.keys(weights)])) {
    const off = (shares[server] ?? 0) - (100 * (weights[server] ?? 0)) / sum;
    assert.ok(Math.abs(off) < 4, `${server} is ${off} points from its share: ${JSON.stringify(shares)}`);
  }
}
