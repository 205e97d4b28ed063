/** A server breaks a rule of the contract. The message says what was expected and what came. */
export class Violation extends Error {}

/** The server has left out an optional part; its check tells nothing then. The message names the part. */
export class NotImplemented extends Error {}

/** @throws Violation when `actual` is not `expected` */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Violation(`${what} is ${String(actual)}; expected ${String(expected)}`);
}

/** @throws Violation with the message, unless the condition holds */
export function expectThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Violation(message);
}
