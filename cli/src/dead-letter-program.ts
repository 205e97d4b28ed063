import { Argument, type Command } from "commander";
import { UsageError } from "./commands/command-context.js";
import { parseCount, parseRequestNumber } from "./commands/option-values.js";
import type { ActionMaker, ProgramHost } from "./program.js";
import { tellUnknownCommands } from "./unknown-command.js";

const commands = () => import("./commands/dead-letters.js");

interface DiscardOptions {
  readonly all: boolean;
  readonly yes: boolean;
}

/** Adds `dead-letters` and its commands. */
export function addDeadLetterCommands(
  program: Command,
  host: ProgramHost,
  action: ActionMaker,
  examples: (...lines: string[]) => string,
): void {
  const letters = program
    .command("dead-letters")
    .description("look at uploads that were given up but are still kept, and decide what becomes of them")
    .addHelpText(
      "after",
      examples(
        "lb-cli dead-letters list",
        "lb-cli dead-letters retry --all",
        "lb-cli dead-letters export 42 -o 42.bin && lb-cli dead-letters discard 42",
      ),
    );
  tellUnknownCommands(letters);
  letters
    .command("list")
    .description("list the dead letters")
    .option("--limit <number>", "how many to list at most", parseCount, 100)
    .addHelpText(
      "after",
      examples("lb-cli dead-letters list", "lb-cli dead-letters list --json --limit 1000 | jq -r .reason"),
    )
    .action(
      action(commands, ({ listDeadLetters }, context, { limit }: { limit: number }) => listDeadLetters(limit, context)),
    );
  letters
    .command("show")
    .description("show one dead letter, with its attempts")
    .addArgument(numberArgument())
    .addHelpText("after", examples("lb-cli dead-letters show 42"))
    .action(
      action(commands, ({ showDeadLetter }, context, requestNumber: bigint) => showDeadLetter(requestNumber, context)),
    );
  letters
    .command("retry")
    .description("put dead letters back in the queue, under their own numbers")
    .addArgument(numbersArgument())
    .option("--all", "all dead letters", false)
    .addHelpText("after", examples("lb-cli dead-letters retry 42 43", "lb-cli dead-letters retry --all"))
    .action(
      action(
        commands,
        async (
          { retryDeadLetters, chooseLetters },
          context,
          numbers: bigint[] | undefined,
          { all }: { all: boolean },
        ) => retryDeadLetters(chooseLetters(numbers ?? [], all), context),
      ),
    );
  letters
    .command("discard")
    .description("forget the bytes of dead letters for good; asks first on a terminal")
    .addArgument(numbersArgument())
    .option("--all", "all dead letters", false)
    .option("-y, --yes", "do not ask; needed where there is no terminal", false)
    .addHelpText("after", examples("lb-cli dead-letters discard 42", "lb-cli dead-letters discard --all --yes"))
    .action(
      action(commands, async (letters, context, numbers: bigint[] | undefined, options: DiscardOptions) => {
        const { chooseLetters, discardDeadLetters } = letters;
        const choice = chooseLetters(numbers ?? [], options.all);
        if (options.yes) return discardDeadLetters(choice, undefined, context);
        if (!host.stdin.isTTY)
          throw new UsageError("--yes: expected it where no terminal can be asked whether to discard; got nothing");
        const { createPrompter } = await import("./commands/prompter.js");
        const prompter = createPrompter(host.stdin, host.screen.print);
        try {
          return await discardDeadLetters(choice, prompter, context);
        } finally {
          prompter.close();
        }
      }),
    );
  letters
    .command("export")
    .description("write the bytes of a dead letter to a file; the letter stays")
    .addArgument(numberArgument())
    .option("-o, --output <file>", "where to; - for standard output (default: the upload's name, in this folder)")
    .option("-f, --force", "replace a file that exists, or write into a pipe or a device", false)
    .addHelpText(
      "after",
      examples(
        "lb-cli dead-letters export 42",
        "lb-cli dead-letters export 42 -o rescued.pdf",
        "lb-cli dead-letters export 42 -o - | sha256sum",
      ),
    )
    .action(
      action(
        () => import("./commands/export-dead-letter.js"),
        ({ exportDeadLetter }, context, requestNumber: bigint, options: { output?: string; force: boolean }) =>
          exportDeadLetter({ requestNumber, ...options }, process.stdout, context),
      ),
    );
}

function numberArgument(): Argument {
  return new Argument("<number>", "the request number").argParser(parseRequestNumber);
}

function numbersArgument(): Argument {
  return new Argument("[number...]", "request numbers").argParser((text, before: bigint[] | undefined) => [
    ...(before ?? []),
    parseRequestNumber(text),
  ]);
}
