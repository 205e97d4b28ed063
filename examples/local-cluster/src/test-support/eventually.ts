import { setTimeout as delay } from "node:timers/promises";

/** How long a condition may take by default, in milliseconds: far more than it needs, so that a slow machine does not fail. */
const defaultTimeoutMs = 20_000;

/**
 * Waits until `check` returns without throwing, and returns what it returned. It is called again every 25 ms.
 *
 * @throws what `check` last threw, once `timeoutMs` are over
 */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = defaultTimeoutMs): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
    await delay(25);
  }
}
