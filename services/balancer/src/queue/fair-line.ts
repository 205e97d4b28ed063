import { DeficitRoundRobin, fairCost, quantumBytes } from "../domain/deficit-round-robin.js";
import { aheadOf, type Standing } from "../domain/place-in-line.js";
import type { Priority } from "../domain/priority.js";
import { ClientLine } from "./client-line.js";

/**
 * Uploads that wait for the first time: a line for each client, so that one with many files, or huge ones, or urgent ones, does not hold up another's
 * single file. It takes 12 bytes for each upload.
 */
export class FairLine {
  readonly #lanes = new Map<string, ClientLine>();
  /** The one that became empty last, to be used again: where files hardly wait, one is needed for every file. */
  #spare = new ClientLine();
  readonly #rounds = new DeficitRoundRobin<string>();
  #length = 0;
  #cost = 0;

  get length(): number {
    return this.#length;
  }

  push(client: string, requestNumber: bigint, sizeBytes: number, priority: Priority = "normal"): void {
    const lane = this.#lanes.get(client) ?? this.#open(client);
    const cost = fairCost(sizeBytes);
    lane.push(requestNumber, cost, priority);
    this.#cost += cost;
    this.#rounds.join(client);
    this.#length += 1;
  }

  /** What goes out before an upload, about; `undefined` where it does not stand in this line. */
  before(requestNumber: bigint): Standing | undefined {
    for (const [client, lane] of this.#lanes) {
      const own = lane.before(requestNumber);
      if (!own) continue;
      const others = [...this.#lanes].filter(([other]) => other !== client);
      return aheadOf(
        own,
        others.map(([, { length: files, cost }]) => ({ files, costBytes: cost, rate: 1, turnBytes: quantumBytes })),
      );
    }
    return undefined;
  }

  /** The sum of what all count for. */
  get cost(): number {
    return this.#cost;
  }

  shift(): bigint | undefined {
    const client = this.#rounds.next((candidate) => this.#lanes.get(candidate)?.firstCost ?? 0);
    const lane = client === undefined ? undefined : this.#lanes.get(client);
    if (client === undefined || !lane) return undefined;
    this.#cost -= lane.firstCost;
    const requestNumber = lane.shift();
    this.#length -= 1;
    if (lane.length === 0) {
      this.#lanes.delete(client);
      this.#spare = lane;
      this.#rounds.leave(client);
    }
    return requestNumber;
  }

  #open(client: string): ClientLine {
    const lane = this.#spare.length === 0 ? this.#spare : new ClientLine();
    this.#lanes.set(client, lane);
    return lane;
  }
}
