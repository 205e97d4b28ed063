import type { Policy, Standings } from "./policy.js";
import { SharedList } from "./shared-list.js";
import { WeightTree } from "./weight-tree.js";

/**
 * The power of two choices: two servers are drawn by weight, and the one with less on its way for its weight gets the file. Nearly as
 * even as asking all of them, without the herd that runs to the one least loaded (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
 * Balancing", IEEE TPDS 12(10), 2001). While all are idle, files follow the weights; when one is slow, they keep away from it by themselves.
 */
export class LeastLoad implements Policy {
  readonly #loadOf: (name: string) => number;
  readonly #random: () => number;
  readonly #tree = new WeightTree();
  readonly #names: string[] = [];
  readonly #indices = new Map<string, number>();
  readonly #free: number[] = [];
  /** Names with their weights; `undefined` for those that are not in the choice. */
  readonly #noted = new SharedList<{ readonly name: string; readonly weight: number } | undefined>();
  /** Those drawn last. */
  #first = 0;
  #second = 0;

  /**
   * @param loadOf what is on its way to a server now, in bytes
   * @param random a number from 0 up to, not including, 1
   */
  constructor(loadOf: (name: string) => number, random: () => number) {
    this.#loadOf = loadOf;
    this.#random = random;
  }

  offer(name: string, weight: number): void {
    let index = this.#indices.get(name);
    if (index === undefined) {
      index = this.#free.pop() ?? this.#names.length;
      this.#names[index] = name;
      this.#indices.set(name, index);
    }
    this.#tree.set(index, weight);
    this.#noted.set(index, { name, weight });
  }

  withdraw(name: string): void {
    const index = this.#indices.get(name);
    if (index === undefined) return;
    this.#tree.set(index, 0);
    this.#noted.set(index, undefined);
  }

  forget(name: string): void {
    const index = this.#indices.get(name);
    if (index === undefined) return;
    this.withdraw(name);
    this.#indices.delete(name);
    this.#free.push(index);
  }

  pick(sizeBytes: number): string | undefined {
    const tree = this.#tree;
    if (tree.total === 0) return undefined;
    const first = this.#draw();
    const firstWeight = tree.get(first);
    tree.set(first, 0);
    const second = tree.total > 0 ? this.#draw() : first;
    tree.set(first, firstWeight);
    this.#first = first;
    this.#second = second;
    const load = (index: number) => (this.#loadOf(this.#names[index] ?? "") + sizeBytes) / tree.get(index);
    return this.#names[load(second) < load(first) ? second : first];
  }

  /** What is on its way is asked for anew with each pick. */
  correct(): void {}

  /** What is on its way to each server for its weight, in bytes. */
  standings(): Standings {
    const noted = this.#noted.share();
    return (loadOf) => {
      const found = noted.flat().filter((server) => server !== undefined);
      return new Map(found.map(({ name, weight }) => [name, loadOf(name) / weight]));
    };
  }

  get compared(): readonly string[] {
    return [this.#names[this.#first] ?? "", this.#names[this.#second] ?? ""];
  }

  #draw(): number {
    return this.#tree.find(Math.floor(this.#random() * this.#tree.total));
  }
}
