import { Argument, type Command, Option } from "commander";
import type { CommandContext } from "./commands/command-context.js";
import { type ConformanceOptions, conformance } from "./commands/conformance.js";
import { parseAddress, parseCount, parseSeconds, parseSeed } from "./commands/option-values.js";

/** Makes an action of something that needs the context. */
type ActionMaker = <Arguments extends unknown[]>(
  run: (context: CommandContext, ...args: Arguments) => Promise<number>,
) => (...args: Arguments) => Promise<void>;

/** Adds `conformance` and its commands. */
export function addConformanceCommands(
  program: Command,
  action: ActionMaker,
  examples: (...lines: string[]) => string,
): void {
  program
    .command("conformance")
    .description("try whether a program keeps to the contract")
    .command("storage")
    .description("drive a running storage server through the contract; the balancer is not asked")
    .addArgument(new Argument("<address>", "the storage server, host:port").argParser(parseAddress))
    .option("--only <name...>", "these checks only; a subject, such as files, stands for all of its checks")
    .addOption(
      new Option("--level <level>", "what every server must do, or also what is optional")
        .choices(["required", "full"])
        .default("full"),
    )
    .option("--restart-cmd <command>", "kills the server and starts it again, and then ends; run by the shell")
    .option("--overload-files <number>", "from how many files in progress on the server is overloaded", parseCount)
    .option("--busy-files <number>", "from how many files in progress on the server answers busy", parseCount)
    .addOption(
      new Option("--answer-timeout <seconds>", "how long an answer may take")
        .default(10_000, "10")
        .argParser(parseSeconds),
    )
    .option("--seed <number>", "choose the same contents and cuts again", parseSeed, 1)
    .addHelpText(
      "after",
      `${examples(
        "lb-cli conformance storage 127.0.0.1:50061",
        "lb-cli conformance storage 127.0.0.1:50061 --only identity fencing.term",
        "lb-cli conformance storage 127.0.0.1:50061 --restart-cmd 'systemctl kill -s KILL my-storage; systemctl start my-storage'",
      )}

Stores files under origins of its own, and removes them where the server has Discard: use a server without other traffic.
Exit codes: 0 everything tried holds, 1 something does not, 2 the command was not given rightly, 3 nothing answers there.`,
    )
    .action(action((context, address: string, options: ConformanceOptions) => conformance(address, options, context)));
}
