const firstCapMs = 100;
const lastCapMs = 2_000;

/**
 * How long to wait before the next try: 'full jitter', a random share of a cap that doubles with each failure, so that many clients of a
 * restarted balancer do not come back in step (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param failures how many tries in a row have failed, from 1
 * @param random a number in [0, 1)
 */
export function backoffMs(failures: number, random: number): number {
  return random * Math.min(lastCapMs, firstCapMs * 2 ** Math.min(failures - 1, 10));
}
