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
  /** What anybody holds who rests, and so is not worth to be told to go for. */
  readonly restingBytes: number;
  /** From when on somebody who rests can be told to go, in milliseconds. */
  readonly restMs: number;
}

/** What is told to those that share. */
export interface ShareOrders<Member> {
  /** It has so many bytes from now on. */
  give(member: Member, bytes: number): void;
  /** It is to go, since it has rested for long, and holds what somebody else has use for. Returns whether it does. */
  dismiss(member: Member): boolean;
}

/** Which part of what is left whoever comes gets at most. */
const partOfRest = 1 / 3;
/** A share grows only where it is worth telling the other side. */
const worthwhileFactor = 2;
/** The same for one who asks for more. */
const partOfRestForMore = 1 / 2;
const worthwhileFactorForMore = 1.25;
/** Where more than so many are active, nobody gets more. */
const mostActiveForMore = 16;

interface Share {
  bytes: number;
  moreBytes: number;
}

/**
 * Shares an amount of bytes among those that are active. Who comes gets a part of what is left, so that there is something for the next one, and the
 * sum is never exceeded: what has been given cannot be taken back, since it may be used at any time, also by one that rests. So who rests keeps its
 * share until it goes; one that has rested for long is told to go when its share is missing. When somebody goes, who has little gets more. A second
 * amount is for those that ask for more, so that they take nothing from the others.
 */
export class WindowShares<Member extends object> {
  readonly #limits: ShareLimits;
  readonly #orders: ShareOrders<Member>;
  readonly #nowMs: () => number;
  readonly #active = new Map<Member, Share>();
  /** In the order in which they began to rest. */
  readonly #resting = new Map<Member, { readonly share: Share; readonly sinceMs: number }>();
  #leftBytes: number;
  #leftMoreBytes: number;

  constructor(limits: ShareLimits, orders: ShareOrders<Member>, nowMs: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#orders = orders;
    this.#nowMs = nowMs;
    this.#leftBytes = limits.totalBytes;
    this.#leftMoreBytes = limits.totalMoreBytes;
  }

  /** It is active from now on. */
  join(member: Member): void {
    if (this.#active.has(member)) return;
    const { leastBytes, mostBytes, totalBytes } = this.#limits;
    const share = this.#resting.get(member)?.share ?? { bytes: leastBytes, moreBytes: 0 };
    this.#resting.delete(member);
    this.#active.set(member, share);
    this.#raise(member, share);
    this.#dismissFor(Math.min(mostBytes, totalBytes / this.#active.size) - share.bytes);
  }

  /** Gives a member that is active twice what it has, or as much as there is for it; nothing where there are many. */
  grow(member: Member): void {
    const share = this.#active.get(member);
    if (!share || this.#active.size > mostActiveForMore) return;
    const hasBytes = share.bytes + share.moreBytes;
    const wantedBytes = Math.min(this.#limits.widestBytes, hasBytes * 2) - hasBytes;
    const addedBytes = Math.floor(Math.min(wantedBytes, this.#leftMoreBytes * partOfRestForMore));
    this.#dismissFor(wantedBytes - addedBytes);
    if (hasBytes + addedBytes < hasBytes * worthwhileFactorForMore) return;
    this.#leftMoreBytes -= addedBytes;
    share.moreBytes += addedBytes;
    this.#orders.give(member, hasBytes + addedBytes);
  }

  /** It is active no longer, and keeps its share, unless that is little. */
  rest(member: Member): void {
    const share = this.#active.get(member);
    if (!share) return;
    if (share.bytes + share.moreBytes <= this.#limits.restingBytes) {
      this.#orders.give(member, this.#limits.leastBytes);
      this.leave(member);
      return;
    }
    this.#active.delete(member);
    this.#resting.set(member, { share, sinceMs: this.#nowMs() });
  }

  /** It has gone. */
  leave(member: Member): void {
    const share = this.#active.get(member) ?? this.#resting.get(member)?.share;
    if (!share) return;
    this.#active.delete(member);
    this.#resting.delete(member);
    this.#leftBytes += share.bytes - this.#limits.leastBytes;
    this.#leftMoreBytes += share.moreBytes;
    for (const [other, itsShare] of this.#active) this.#raise(other, itsShare);
  }

  #raise(member: Member, share: Share): void {
    const { mostBytes, totalBytes } = this.#limits;
    const fairBytes = Math.min(mostBytes, totalBytes / (this.#active.size + this.#resting.size));
    const wanted = Math.floor(Math.min(fairBytes, share.bytes + this.#leftBytes * partOfRest));
    if (wanted < share.bytes * worthwhileFactor && !(wanted === mostBytes && share.bytes < mostBytes)) return;
    this.#leftBytes -= wanted - share.bytes;
    share.bytes = wanted;
    this.#orders.give(member, share.bytes + share.moreBytes);
  }

  /** Tells those to go that have rested longest, until what they hold is as much as is missing. */
  #dismissFor(missingBytes: number): void {
    const longestMs = this.#nowMs() - this.#limits.restMs;
    let bytes = 0;
    for (const [member, { share, sinceMs }] of this.#resting) {
      if (bytes >= missingBytes || sinceMs > longestMs) return;
      if (this.#orders.dismiss(member)) bytes += share.bytes + share.moreBytes;
    }
  }
}
