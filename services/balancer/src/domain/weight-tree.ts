/**
 * Weights by index, and who stands at a point of their sum: a binary indexed tree (P. M. Fenwick, "A New Data Structure for Cumulative
 * Frequency Tables", 1994). Changing a weight and finding a point cost O(log n).
 */
export class WeightTree {
  #weights: number[] = [];
  /** `#sums[i]`, from 1, is the sum of the `i & -i` weights that end before index `i`. Its length less one is a power of two. */
  #sums: number[] = [0, 0];
  #total = 0;

  get total(): number {
    return this.#total;
  }

  get(index: number): number {
    return this.#weights[index] ?? 0;
  }

  set(index: number, weight: number): void {
    while (index >= this.#sums.length - 1) this.#double();
    const change = weight - this.get(index);
    this.#weights[index] = weight;
    this.#total += change;
    for (let at = index + 1; at < this.#sums.length; at += at & -at) this.#sums[at] = (this.#sums[at] ?? 0) + change;
  }

  /** The index at whose weight a point lies, from 0 up to, not including, `total`. */
  find(point: number): number {
    let before = 0;
    let left = point;
    for (let step = this.#sums.length - 1; step > 0; step >>= 1) {
      const sum = this.#sums[before + step];
      if (sum === undefined || sum > left) continue;
      before += step;
      left -= sum;
    }
    return before;
  }

  #double(): void {
    const size = this.#sums.length - 1;
    // The new top covers all there is; what lies beside it is empty.
    for (let at = 0; at < size; at++) this.#sums.push(0);
    this.#sums[2 * size] = this.#total;
  }
}
