import { styleText } from "node:util";

/** Prints a heading with an empty line before it; bold on a terminal, plain on a pipe. */
export function heading(text: string): void {
  console.log(`\n${process.stdout.isTTY && !process.env.NO_COLOR ? styleText("bold", text) : text}`);
}
