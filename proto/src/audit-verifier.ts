import { type ChainHead, chainStart, parseEntry } from "./audit-chain.js";

/** What is wrong with the audit at a line. */
export interface AuditFinding {
  /** From 1, in its file. */
  readonly line: number;
  readonly kind: /** Not an entry at all. */
    | "unreadable"
    /** Its text was altered after it was written. */
    | "changed"
    /** Entries before it are gone. */
    | "missing"
    /** It stands behind a later entry, or stands there twice. */
    | "out-of-order"
    /** It was made to follow another entry than the one that stands before it. */
    | "unlinked"
    /** The file ends in the middle of it. */
    | "torn";
  /** For people. */
  readonly message: string;
}

/** Follows the chain of an audit line by line, and says where it does not hold. Keeps no more than the place reached. */
export class AuditVerifier {
  #line = 0;
  #head: ChainHead = chainStart;
  /** Whether the first entry is taken for the beginning, whatever its number. */
  #anyStart: boolean;
  /** Whether the text behind `#head.hash` is known to be good, so that the next entry can be held against it. */
  #sure = true;
  /** Lines since `#head` that were no entries; as many may be missing for it. */
  #unreadable = 0;
  #entries = 0;

  /** @param anyStart whether the chain may begin anywhere: its older files are elsewhere */
  constructor(anyStart = false) {
    this.#anyStart = anyStart;
  }

  /** The next line is the first of the next file. */
  nextFile(): void {
    this.#line = 0;
  }

  /** How many good or changed entries there were. */
  get entries(): number {
    return this.#entries;
  }

  /** The last entry in the chain: noted down elsewhere, it shows later whether entries were cut off the end. */
  get head(): ChainHead {
    return this.#head;
  }

  /** Takes the next line, without its end. `torn`: it has none, because the file ends there. */
  check(bytes: Buffer, torn = false): AuditFinding | undefined {
    this.#line += 1;
    if (torn) return this.#finding("torn", "the file ends in the middle of an entry");
    const parsed = parseEntry(bytes);
    if (parsed.kind === "unreadable") {
      this.#unreadable += 1;
      return this.#finding("unreadable", `not an entry of the audit; expected entry ${this.#head.seq + 1}`);
    }
    this.#entries += 1;
    const { seq, prev, hash } = parsed.entry;
    if (this.#anyStart) {
      this.#anyStart = false;
      this.#reach({ seq: seq - 1, hash: prev }, true);
    }
    const expected = this.#head.seq + 1;
    if (parsed.kind === "changed") {
      // The number may be what was altered: the place counts.
      this.#reach({ seq: expected, hash }, false);
      return this.#finding("changed", `entry ${seq} is not as it was written: its hash does not match its text`);
    }
    if (seq < expected) {
      return this.#finding("out-of-order", `entry ${seq} comes behind entry ${this.#head.seq}`);
    }
    const gap = seq - expected;
    const linked = !this.#sure || gap > 0 || prev === this.#head.hash;
    const missing = gap > this.#unreadable;
    this.#reach({ seq, hash }, true);
    if (missing) {
      const which = gap === 1 ? `entry ${expected} is` : `entries ${expected} to ${seq - 1} are`;
      return this.#finding("missing", `${which} not before entry ${seq}`);
    }
    if (parsed.entry.kind === "begun-anew") {
      return this.#finding("missing", `entry ${seq} stands for a file that had no entry any more, and was put aside`);
    }
    if (linked) return undefined;
    return this.#finding("unlinked", `entry ${seq} was written behind another entry ${seq - 1} than the one before it`);
  }

  #reach(head: ChainHead, sure: boolean): void {
    this.#head = head;
    this.#sure = sure;
    this.#unreadable = 0;
  }

  #finding(kind: AuditFinding["kind"], message: string): AuditFinding {
    return { line: this.#line, kind, message };
  }
}
