import { aheadOf, type OtherLine, type Standing } from "../domain/place-in-line.js";
import { type Priority, priorities, priorityWeights } from "../domain/priority.js";
import { PriorityLines } from "../domain/priority-lines.js";
import { NumberFifo } from "./number-fifo.js";

/** One client's uploads that wait for the first time: first in, first out within a priority. */
export class ClientLine {
  readonly #lines = new PriorityLines(() => new NumberFifo());
  #length = 0;
  #cost = 0;

  get length(): number {
    return this.#length;
  }

  /** The sum of all costs. */
  get cost(): number {
    return this.#cost;
  }

  /** The cost of the one that goes out next; 0 where there is none. */
  get firstCost(): number {
    return this.#lines.firstCost;
  }

  /** What of this client goes out before an upload, about; `undefined` where it does not stand in this line. */
  before(requestNumber: bigint): Standing | undefined {
    for (const priority of priorities) {
      const own = this.#lines.of(priority)?.before(requestNumber);
      if (own) return aheadOf(own, this.#beside(priority, own.cost));
    }
    return undefined;
  }

  push(requestNumber: bigint, cost: number, priority: Priority): void {
    this.#lines.joining(priority).push(requestNumber, cost);
    this.#length += 1;
    this.#cost += cost;
  }

  shift(): bigint | undefined {
    const line = this.#lines.take();
    if (!line) return undefined;
    this.#length -= 1;
    this.#cost -= line.firstCost;
    return line.shift();
  }

  /** The lines of the other priorities, as an upload sees them that counts for so much: they send meanwhile, too. */
  #beside(priority: Priority, cost: number): OtherLine[] {
    return priorities.flatMap((other) => {
      const line = other === priority ? undefined : this.#lines.of(other);
      const rate = priorityWeights[other] / priorityWeights[priority];
      return line ? [{ files: line.length, costBytes: line.cost, rate, turnBytes: cost * rate }] : [];
    });
  }
}
