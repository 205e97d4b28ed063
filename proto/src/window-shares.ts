/** HTTP/2's own window, which nobody gets less than. */
const leastBytes = 65_535;
/** A window is changed only where it is off by more than this factor: each change is a frame to the other side. */
const toleratedFactor = 1.25;

/**
 * Shares an amount of bytes among those that are active, equally, within limits. Those that have been given more than their new share before
 * get it taken away as others come.
 */
export class WindowShares<Member extends object> {
  readonly #maxBytes: number;
  readonly #totalBytes: number;
  readonly #set: (member: Member, bytes: number) => void;
  readonly #active = new Map<Member, number>();

  /** @param set gives a member its window */
  constructor(limits: { maxBytes: number; totalBytes: number }, set: (member: Member, bytes: number) => void) {
    this.#maxBytes = limits.maxBytes;
    this.#totalBytes = limits.totalBytes;
    this.#set = set;
  }

  join(member: Member): void {
    if (this.#active.has(member)) return;
    this.#active.set(member, leastBytes);
    this.#share();
  }

  leave(member: Member): void {
    if (!this.#active.delete(member)) return;
    this.#set(member, leastBytes);
    this.#share();
  }

  #share(): void {
    const share = Math.floor(this.#totalBytes / this.#active.size);
    const bytes = Math.max(leastBytes, Math.min(this.#maxBytes, share));
    for (const [member, had] of this.#active) {
      if (had <= bytes * toleratedFactor && bytes <= had * toleratedFactor) continue;
      this.#active.set(member, bytes);
      this.#set(member, bytes);
    }
  }
}
