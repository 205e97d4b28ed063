import { setTimeout as delay } from "node:timers/promises";

/** Waits until a condition holds; fails with `what` and the last value after a generous deadline. Never a fixed sleep. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(5);
  }
}
