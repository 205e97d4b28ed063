/** What stands in line: files, and what they count for in turns, in bytes (`fairCost`). */
export interface Standing {
  readonly files: number;
  readonly costBytes: number;
}

/** Somebody else's line, which takes turns with one's own. */
export interface OtherLine extends Standing {
  /** How many bytes it sends for each that one's own sends, in the long run. */
  readonly rate: number;
  /** What it may send at once before it is one's own turn, in bytes. */
  readonly turnBytes: number;
}

/**
 * What goes out before a file, about: what stands before it in its own line, and of each line that takes turns with that as much as it may send meanwhile, by deficit round robin.
 * Not more than it has.
 */
export function aheadOf(own: Standing, others: Iterable<OtherLine>): Standing {
  let { files, costBytes } = own;
  for (const other of others) {
    if (other.costBytes === 0) continue;
    const share = Math.min(1, (own.costBytes * other.rate + other.turnBytes) / other.costBytes);
    files += other.files * share;
    costBytes += other.costBytes * share;
  }
  return { files: Math.round(files), costBytes: Math.round(costBytes) };
}
