import { DeficitRoundRobin, fairCost } from "../domain/deficit-round-robin.js";
import { NumberFifo } from "./number-fifo.js";

/**
 * Uploads that wait for the first time: a line for each client, so that one with many files, or huge ones, does not hold up another's single file. It
 * takes 12 bytes for each upload.
 */
export class FairLine {
  readonly #lanes = new Map<string, NumberFifo>();
  readonly #rounds = new DeficitRoundRobin<string>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(client: string, requestNumber: bigint, sizeBytes: number): void {
    const lane = this.#lanes.get(client) ?? new NumberFifo();
    this.#lanes.set(client, lane);
    lane.push(requestNumber, fairCost(sizeBytes));
    this.#rounds.join(client);
    this.#length += 1;
  }

  shift(): bigint | undefined {
    const client = this.#rounds.next((candidate) => this.#lanes.get(candidate)?.firstCost ?? 0);
    const lane = client === undefined ? undefined : this.#lanes.get(client);
    if (client === undefined || !lane) return undefined;
    const requestNumber = lane.shift();
    this.#length -= 1;
    if (lane.length === 0) {
      this.#lanes.delete(client);
      this.#rounds.leave(client);
    }
    return requestNumber;
  }
}
