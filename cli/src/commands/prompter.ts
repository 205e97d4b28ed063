import { createInterface } from "node:readline";
import type { ReadStream } from "node:tty";
import { input } from "@inquirer/prompts";

/** Asks a person, or a script, for a line at a time. Whoever makes it closes it. */
export interface Prompter {
  /** The answer, without blanks around it; `undefined` when there will be no more: Ctrl-C, Ctrl-D, end of input. */
  ask(question: string): Promise<string | undefined>;
  close(): void;
}

/** Writes a line, or several, to a person. */
export type Say = (text: string) => Promise<void>;

/** Prompts with line editing on a terminal; plain lines from a pipe. Questions go where `say` writes: to `output`, where that is given. */
export function createPrompter(stdin: ReadStream, say: Say, output?: NodeJS.WritableStream): Prompter {
  return stdin.isTTY ? terminalPrompter(output) : linePrompter(stdin, say);
}

function terminalPrompter(output?: NodeJS.WritableStream): Prompter {
  return {
    async ask(question) {
      try {
        return (await input({ message: question }, output ? { output } : {})).trim();
      } catch (error) {
        if (error instanceof Error && error.name === "ExitPromptError") return undefined;
        throw error;
      }
    },
    close: () => {},
  };
}

function linePrompter(stdin: ReadStream, say: Say): Prompter {
  const reader = createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY });
  // Lines that come while a command runs are kept by the iterator.
  const lines = reader[Symbol.asyncIterator]();
  return {
    async ask(question) {
      await say(`${question}:`);
      const next = await lines.next();
      return next.done ? undefined : next.value.trim();
    },
    close: () => reader.close(),
  };
}
