/** What was seen of a server over a stretch of time. */
export interface Delivered {
  /** Bytes of the files that it stored, each as it counted while it was on its way. */
  readonly bytes: number;
  /** Bytes on their way to it, summed up over each millisecond. */
  readonly byteMs: number;
  readonly overloadedMs: number;
  readonly elapsedMs: number;
}

/** A learned factor is from 1/4 to 4. */
const bound = 4;
/** How much of what was seen last goes into a factor. */
const smoothing = 0.2;

/**
 * Learns by how much each server's weight should differ from the configured one. A server's speed is the bytes that it delivers in a second for each byte on its
 * way; by Little's law that is one over the time a byte takes (J. D. C. Little, "A Proof for the Queuing Formula L = λW", 1961). Whoever takes longer than the
 * others, for whatever it is given by its weight, gets less of it, until all take about equally long; whoever is quicker gets more. Unlike bytes in a
 * second alone, which are high for whoever is given much, this says something in a pool that is not busy as well. The part of the time in which a server was overloaded takes the same part off.
 *
 * @param factors the factors so far, by server; 1 where there is none
 * @param seen by server; one to which nothing was on its way keeps its factor
 * @returns the factors from now on, from 1/4 to 4
 */
export function learnedFactors(
  factors: ReadonlyMap<string, number>,
  seen: ReadonlyMap<string, Delivered>,
): Map<string, number> {
  const goods = new Map<string, number>();
  for (const [name, { bytes, byteMs, overloadedMs, elapsedMs }] of seen) {
    if (byteMs > 0 && elapsedMs > 0) goods.set(name, (bytes / byteMs) * (1 - Math.min(1, overloadedMs / elapsedMs)));
  }
  // The geometric mean: being twice as quick and being half as quick are equally far from it.
  const logs = [...goods.values()].filter((good) => good > 0).map(Math.log);
  const mean = Math.exp(logs.reduce((sum, log) => sum + log, 0) / Math.max(1, logs.length));
  const next = new Map<string, number>();
  for (const name of seen.keys()) {
    const before = factors.get(name) ?? 1;
    const good = goods.get(name);
    // How it does with what it is given now; the factor it needs is that much more than it has.
    const wanted = good === undefined || logs.length === 0 ? before : clamp(before * (good / mean));
    next.set(name, clamp(before + (wanted - before) * smoothing));
  }
  return next;
}

function clamp(factor: number): number {
  return Math.max(1 / bound, Math.min(bound, factor));
}
