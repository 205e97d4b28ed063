/** One participant: a name that is unique in the pool, and its weight, a whole number from 1 to 256. */
export interface WeightedMember {
  readonly name: string;
  readonly weight: number;
}

interface Slot {
  readonly name: string;
  weight: number;
  current: number;
}

/**
 * Smooth weighted round robin, as nginx does it (https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1):
 * every available member's current value grows by its weight, the highest one is picked and pays the sum of the weights. Over any
 * `sum` picks from a stable pool each member is picked exactly `weight` times, and never in a row where it can be avoided:
 * weights 5, 1, 1 give `a a b a c a a`.
 *
 * Members that are not available are left as they are: they neither save up turns nor lose any.
 */
export class SmoothWeightedRoundRobin {
  #slots: Slot[] = [];

  /** Replaces the pool. Members that stay keep their place in the sequence; new ones begin in the middle, so they get no burst. */
  setMembers(members: readonly WeightedMember[]): void {
    const known = new Map(this.#slots.map((slot) => [slot.name, slot]));
    this.#slots = members.map(({ name, weight }) => {
      if (!Number.isInteger(weight) || weight < 1 || weight > 256) {
        throw new RangeError(`the weight of ${name} is ${weight}; expected a whole number from 1 to 256`);
      }
      return { name, weight, current: known.get(name)?.current ?? 0 };
    });
  }

  /** The next member among those that `isAvailable` lets through, or `undefined` if there is none. */
  pick(isAvailable: (name: string) => boolean): string | undefined {
    const available = this.#slots.filter(({ name }) => isAvailable(name));
    const total = available.reduce((sum, { weight }) => sum + weight, 0);
    let best: Slot | undefined;
    for (const slot of available) {
      // In a stable pool nobody is ever more than a round ahead or behind. Who is comes from a larger pool or from other
      // weights, and would be picked, or passed over, for as long as the old round was.
      slot.current = Math.max(-total, Math.min(total, slot.current)) + slot.weight;
      if (best === undefined || slot.current > best.current) best = slot;
    }
    if (best === undefined) return undefined;
    best.current -= total;
    return best.name;
  }
}
