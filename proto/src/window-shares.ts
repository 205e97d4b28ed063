/** How an amount of bytes is shared. */
export interface ShareLimits {
  /** What anybody has, whether there is enough or not. */
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Of all together, besides the least. */
  readonly totalBytes: number;
}

/** Which part of what is left whoever comes gets at most. */
const partOfRest = 1 / 3;
/** A share grows only where it is worth telling the other side. */
const worthwhileFactor = 2;

/**
 * Shares an amount of bytes among those that are active. Who comes gets a part of what is left, so that there is something for the next one, and
 * the sum is never exceeded: what has been given cannot be taken back, since it may be used already. When somebody leaves, who has little gets
 * more.
 */
export class WindowShares<Member extends object> {
  readonly #limits: ShareLimits;
  readonly #set: (member: Member, bytes: number) => void;
  readonly #given = new Map<Member, number>();
  #leftBytes: number;

  /** @param set gives a member its window */
  constructor(limits: ShareLimits, set: (member: Member, bytes: number) => void) {
    this.#limits = limits;
    this.#set = set;
    this.#leftBytes = limits.totalBytes;
  }

  join(member: Member): void {
    if (this.#given.has(member)) return;
    this.#given.set(member, this.#limits.leastBytes);
    this.#raise(member);
  }

  leave(member: Member): void {
    const given = this.#given.get(member);
    if (given === undefined) return;
    this.#given.delete(member);
    this.#leftBytes += given - this.#limits.leastBytes;
    this.#set(member, this.#limits.leastBytes);
    for (const other of this.#given.keys()) this.#raise(other);
  }

  #raise(member: Member): void {
    const { leastBytes, mostBytes, totalBytes } = this.#limits;
    const given = this.#given.get(member) ?? leastBytes;
    const share = Math.min(mostBytes, totalBytes / this.#given.size);
    const wanted = Math.floor(Math.min(share, given + this.#leftBytes * partOfRest));
    if (wanted < given * worthwhileFactor && !(wanted === mostBytes && given < mostBytes)) return;
    this.#leftBytes -= wanted - given;
    this.#given.set(member, wanted);
    this.#set(member, wanted);
  }
}
