/** Weights are offered to a policy in hundredths, so that a small one can grow in steps as well. */
export const weightUnit = 100;
/** What a server begins with, as a share of its weight. */
const firstShare = 0.1;

/**
 * The weight that a server has for now, in hundredths: one that joins or returns begins with a tenth of its weight, which grows evenly to
 * the whole, so that a server with cold caches, or one that is not quite well yet, is not buried at once. As Envoy's slow start mode
 * with an aggression of 1
 * (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start).
 *
 * @param sinceMs when the server joined or returned
 * @param rampMs how long its weight grows; 0 for none
 */
export function rampedWeight(weight: number, sinceMs: number, nowMs: number, rampMs: number): number {
  const share = isRamping(sinceMs, nowMs, rampMs) ? Math.max(firstShare, (nowMs - sinceMs) / rampMs) : 1;
  return Math.max(1, Math.round(weight * weightUnit * share));
}

/** Whether a server's weight still grows. It does not after the clock has been set back to before its return: that could take any time. */
export function isRamping(sinceMs: number, nowMs: number, rampMs: number): boolean {
  return nowMs >= sinceMs && nowMs - sinceMs < rampMs;
}
