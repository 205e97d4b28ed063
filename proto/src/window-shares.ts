/** How an amount of bytes is shared. */
export interface ShareLimits {
  /** What anybody has, whether there is enough or not. */
  readonly leastBytes: number;
  /** What whoever comes gets at most. */
  readonly mostBytes: number;
  /** Of all together, besides the least. */
  readonly totalBytes: number;
  /** What one can have at most who asks for more. */
  readonly widestBytes: number;
  /** What all have together who asked for more, besides what they had before. */
  readonly totalMoreBytes: number;
}

/** Which part of what is left whoever comes gets at most. */
const partOfRest = 1 / 3;
/** A share grows only where it is worth telling the other side. */
const worthwhileFactor = 2;
/** The same for one who asks for more. */
const partOfRestForMore = 1 / 2;
const worthwhileFactorForMore = 1.25;
/** Where more than so many share, nobody gets more. */
const mostMembersForMore = 16;

interface Share {
  bytes: number;
  moreBytes: number;
}

/**
 * Shares an amount of bytes among those that are active. Who comes gets a part of what is left, so that there is something for the next one, and
 * the sum is never exceeded: what has been given cannot be taken back, since it may be used already. When somebody leaves, who has little gets
 * more. A second amount is for those that ask for more, so that they take nothing from the others.
 */
export class WindowShares<Member extends object> {
  readonly #limits: ShareLimits;
  readonly #set: (member: Member, bytes: number) => void;
  readonly #shares = new Map<Member, Share>();
  #leftBytes: number;
  #leftMoreBytes: number;

  /** @param set gives a member its window */
  constructor(limits: ShareLimits, set: (member: Member, bytes: number) => void) {
    this.#limits = limits;
    this.#set = set;
    this.#leftBytes = limits.totalBytes;
    this.#leftMoreBytes = limits.totalMoreBytes;
  }

  join(member: Member): void {
    if (this.#shares.has(member)) return;
    const share = { bytes: this.#limits.leastBytes, moreBytes: 0 };
    this.#shares.set(member, share);
    this.#raise(member, share);
  }

  /** Gives a member that is here twice what it has, or as much as there is for it; nothing where there are many. */
  grow(member: Member): void {
    const share = this.#shares.get(member);
    if (!share || this.#shares.size > mostMembersForMore) return;
    const hasBytes = share.bytes + share.moreBytes;
    const mostBytes = Math.min(this.#limits.widestBytes, hasBytes * 2);
    const addedBytes = Math.floor(Math.min(mostBytes - hasBytes, this.#leftMoreBytes * partOfRestForMore));
    if (hasBytes + addedBytes < hasBytes * worthwhileFactorForMore) return;
    this.#leftMoreBytes -= addedBytes;
    share.moreBytes += addedBytes;
    this.#set(member, hasBytes + addedBytes);
  }

  leave(member: Member): void {
    const share = this.#shares.get(member);
    if (!share) return;
    this.#shares.delete(member);
    this.#leftBytes += share.bytes - this.#limits.leastBytes;
    this.#leftMoreBytes += share.moreBytes;
    this.#set(member, this.#limits.leastBytes);
    for (const [other, itsShare] of this.#shares) this.#raise(other, itsShare);
  }

  #raise(member: Member, share: Share): void {
    const { mostBytes, totalBytes } = this.#limits;
    const fairBytes = Math.min(mostBytes, totalBytes / this.#shares.size);
    const wanted = Math.floor(Math.min(fairBytes, share.bytes + this.#leftBytes * partOfRest));
    if (wanted < share.bytes * worthwhileFactor && !(wanted === mostBytes && share.bytes < mostBytes)) return;
    this.#leftBytes -= wanted - share.bytes;
    share.bytes = wanted;
    this.#set(member, share.bytes + share.moreBytes);
  }
}
