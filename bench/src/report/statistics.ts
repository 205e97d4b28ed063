/** What several rounds gave. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The median, the smallest and the largest of the figures. @throws RangeError when there are none */
export function spread(figures: readonly number[]): Spread {
  const sorted = ascending(figures);
  return { median: quantile(sorted, 0.5), min: quantile(sorted, 0), max: quantile(sorted, 1) };
}

/**
 * A quantile, linear between the two figures next to it (Hyndman and Fan's type 7, https://doi.org/10.2307/2684934).
 *
 * @param share 0 for the smallest, 0.5 for the median, 1 for the largest
 * @throws RangeError when there are no figures, or one is no number
 */
export function quantile(figures: readonly number[], share: number): number {
  const sorted = ascending(figures);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

/** The items in a random order; the source stays as it is. @param random 0 to below 1 */
export function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const left = [...items];
  const out: Item[] = [];
  while (left.length > 0) out.push(...left.splice(Math.floor(random() * left.length), 1));
  return out;
}

/** Chance that can be repeated: numbers from 0 to below 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function ascending(figures: readonly number[]): number[] {
  if (figures.length === 0) throw new RangeError("expected at least one figure");
  const strange = figures.find((figure) => !Number.isFinite(figure));
  if (strange !== undefined) throw new RangeError(`expected finite figures, got ${strange}`);
  return [...figures].sort((a, b) => a - b);
}
