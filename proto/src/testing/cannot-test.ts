/**
 * Says aloud that something cannot be tested on this machine. Where everything is to be tested, as in `.ci/run`, that is a failure.
 *
 * @throws Error where the variable `CI` is set
 */
export function cannotTest(why: string): void {
  if (process.env.CI) throw new Error(why);
  process.stderr.write(`\nnot tested on this machine: ${why}\n`);
}
