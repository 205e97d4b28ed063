/**
 * A source of chance that gives the same numbers for the same seed, in [0, 1): mulberry32 (Tommy Ettinger, public domain). Good enough to
 * draw files with, not for secrets.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws items at random: with repetition, or each at most once; then `count` is at most their number. */
export function draw<Item>(items: readonly Item[], count: number, repeat: boolean, random: () => number): Item[] {
  const pool = [...items];
  const drawn: Item[] = [];
  while (drawn.length < count && pool.length > 0) {
    const index = Math.floor(random() * pool.length);
    const item = pool[index] as Item;
    drawn.push(item);
    if (repeat) continue;
    const last = pool.pop() as Item;
    if (index < pool.length) pool[index] = last;
  }
  return drawn;
}
