import { printable } from "./human.js";
import type { Screen } from "./screen.js";

/** One line of a description: what it is called, and what it is. */
export type Fact = readonly [name: string, value: string];

/** Facts as text, one a line, the values in one column. */
export function renderFacts(lines: readonly Fact[], screen: Screen): string {
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${screen.paint("bold", name.padEnd(width))}  ${printable(value)}`).join("\n");
}
