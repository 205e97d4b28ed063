import { type Priority, priorities, priorityWeights } from "./priority.js";

/** Something first in, first out. */
export interface CostedLine {
  /** What the first one counts for, see `fairCost`; 0 where there is none. */
  readonly firstCost: number;
}

/** How long each waits for what it counts for: its weight, turned over, in whole numbers. */
const paces = priorities.map((priority) => priorityWeights.high / priorityWeights[priority]);

/**
 * A line for each priority that one client uses, and whose turn it is: self-clocked fair queuing, by S. J. Golestani, 'A Self-Clocked Fair Queueing Scheme
 * for Broadband Applications' (INFOCOM 1994). A first one has to wait for as long as its cost over its weight, by a clock that goes on as they go out: the one with the
 * shortest wait left is next, and the others have then waited for that much; of equals, the more urgent. So lines that always have something send by their
 * weights, evenly mixed; and nothing is held up for good, because while it waits no other line sends more than the weights allow.
 */
export class PriorityLines<Line extends CostedLine> {
  readonly #newLine: () => Line;
  /** By rank, the place in `priorities`, as all that follows: numbers are quicker than names, and every file is asked for. */
  readonly #lines: (Line | undefined)[] = paces.map(() => undefined);
  /** For how long the first of each line has waited. Whole numbers, so that all of it is exact. */
  readonly #waited: number[] = paces.map(() => 0);

  constructor(newLine: () => Line) {
    this.#newLine = newLine;
  }

  /** The line of a priority, if it was ever used. */
  of(priority: Priority): Line | undefined {
    return this.#lines[priorities.indexOf(priority)];
  }

  /** The line of a priority, to add something to it at once. */
  joining(priority: Priority): Line {
    const rank = priorities.indexOf(priority);
    let line = this.#lines[rank];
    if (!line) {
      line = this.#newLine();
      this.#lines[rank] = line;
    }
    // While it was empty, nothing waited in it.
    if (line.firstCost === 0) this.#waited[rank] = 0;
    return line;
  }

  /** What the one counts for that is next; 0 where there is none. It may be another one once something more urgent has come. */
  get firstCost(): number {
    return this.#lines[this.#next()]?.firstCost ?? 0;
  }

  /** The line whose first one goes out; it is charged for that, and the caller takes it out. */
  take(): Line | undefined {
    const rank = this.#next();
    const line = this.#lines[rank];
    if (!line) return undefined;
    const left = this.#waitLeft(rank, line.firstCost);
    for (let other = 0; other < this.#waited.length; other++) this.#waited[other] = (this.#waited[other] ?? 0) + left;
    this.#waited[rank] = 0;
    return line;
  }

  /** The rank of the line that is next; -1 where all are empty. */
  #next(): number {
    let next = -1;
    let shortest = Number.POSITIVE_INFINITY;
    for (let rank = 0; rank < this.#lines.length; rank++) {
      const cost = this.#lines[rank]?.firstCost ?? 0;
      if (cost === 0) continue;
      const left = this.#waitLeft(rank, cost);
      if (left >= shortest) continue;
      next = rank;
      shortest = left;
    }
    return next;
  }

  #waitLeft(rank: number, cost: number): number {
    return cost * (paces[rank] ?? 0) - (this.#waited[rank] ?? 0);
  }
}
