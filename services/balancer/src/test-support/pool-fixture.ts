import assert from "node:assert/strict";
import { eventually } from "@bilancia/proto/testing/eventually";
import { ServerPool, type ServerPoolParts } from "../dispatch/server-pool.js";
import type { Occurrence } from "../domain/occurrence.js";
import { FakeStorage, type FakeStorageOptions } from "./fake-storage.js";

/** Nobody is asked a second time within a test, unless there is a reason to. */
export const anHour = 3_600_000;
/** Whom to avoid: nobody. */
export const nobody: ReadonlySet<string> = new Set();

/** Settings under which nothing happens by itself within a test. */
export const poolSettings = {
  limits: { maxFiles: 100, maxBytes: 1_000_000, adaptive: false },
  balancing: { policy: "weighted_round_robin", weights: "configured", slowStartMs: 0, whenNoneAvailable: "hold" },
  probe: { intervalMs: anHour, timeoutMs: 20_000, fall: 2, rise: 1 },
  ejection: {
    consecutiveFailures: 3,
    errorPercent: 0,
    errorMinFiles: 1,
    falls: 0,
    windowMs: anHour,
    baseMs: anHour,
    maxMs: anHour,
    maxPoolPercent: 50,
  },
} as const;

/** A pool of fake servers a, b, c, ..., and what it says. */
export class PoolFixture {
  readonly storages: FakeStorage[] = [];
  readonly occurrences: Occurrence[] = [];
  pool!: ServerPool;

  static async start(
    weights: readonly number[],
    changes: Partial<ServerPoolParts> = {},
    options?: FakeStorageOptions,
  ): Promise<PoolFixture> {
    const fixture = new PoolFixture();
    for (const _ of weights) fixture.storages.push(await FakeStorage.start(options));
    fixture.pool = new ServerPool({
      servers: fixture.storages.map(({ address }, index) => ({
        name: nameOf(index),
        address,
        weight: weights[index] ?? 1,
      })),
      ...poolSettings,
      clock: { nowMs: Date.now, random: Math.random },
      observer: { note: (occurrence) => fixture.occurrences.push(occurrence) },
      ...changes,
    });
    await fixture.pool.start();
    return fixture;
  }

  stop(): void {
    this.pool.stop();
    for (const storage of this.storages) storage.stop();
  }

  picks(count: number, avoid = nobody): string {
    return Array.from({ length: count }, () => this.pool.pick(avoid, 1)?.backend.name ?? "-").join(" ");
  }

  state(name: string): string {
    const view = this.pool.views.all().find(({ backend }) => backend.name === name);
    return `${view?.state.kind}: ${view?.state.reason}`;
  }

  /** Waits until a server is in a state. */
  becomes(name: string, state: RegExp, meanwhile = () => {}): Promise<void> {
    return eventually(`${name} is ${state}`, () => {
      meanwhile();
      return state.test(this.state(name));
    });
  }

  server(name: string) {
    const server = this.pool.get(name);
    assert.ok(server);
    return server;
  }
}

/** The name of the server at this place: a, b, c, ... */
export function nameOf(index: number): string {
  return index < 26 ? String.fromCharCode(97 + index) : `s${index}`;
}
