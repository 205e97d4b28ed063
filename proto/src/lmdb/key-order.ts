import { keyOf } from "./format.js";

/** Keys from `low` on, and below `high`; without an end where there is none. */
export interface KeyRange {
  readonly low?: Buffer | undefined;
  readonly high?: Buffer | undefined;
}

/** The keys of a page, which are in order, and in a range. */
export interface PageKeys {
  readonly page: Buffer;
  readonly count: number;
  readonly isLeaf: boolean;
  readonly compare: (a: Buffer, b: Buffer) => number;
  readonly range: KeyRange;
}

/** The keys of a page are not in order, from one on. */
export interface Disorder {
  readonly index: number;
  readonly words: string;
}

/** Where the keys of a page are out of order; `undefined` where they are not. @param without is passed over */
export function disorderIn(
  { page, count, isLeaf, compare, range: { low, high } }: PageKeys,
  without?: number,
): Disorder | undefined {
  let last = low;
  // A branch page says nothing by its first key: what is below it begins where the page does.
  for (let index = isLeaf ? 0 : 1; index < count; index++) {
    if (index === without) continue;
    const key = keyOf(page, index);
    const order = last ? compare(last, key) : -1;
    if (order > 0 || (order === 0 && index > 0)) return { index, words: "its keys are not in order" };
    last = key;
  }
  const isBelow = !last || !high || compare(last, high) < 0;
  return isBelow ? undefined : { index: count - 1, words: "its keys are not below those that follow" };
}

/** The one key without which the others are in order; `undefined` where more is wrong. */
export function strayKey(keys: PageKeys, index: number): number | undefined {
  return [index, index - 1].find((stray) => !disorderIn(keys, stray));
}
