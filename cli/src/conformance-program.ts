import { Argument, type Command, Option } from "commander";
import { type ConformanceOptions, conformance } from "./commands/conformance.js";
import { parseAddress, parseCount, parseSeconds, parseSeed } from "./commands/option-values.js";
import type { Kit } from "./conformance/check.js";
import type { Probe } from "./conformance/probe.js";
import { storageKit } from "./conformance/storage/catalogue.js";
import type { ActionMaker } from "./program.js";

/** Adds `conformance` and its commands. */
export function addConformanceCommands(
  program: Command,
  action: ActionMaker,
  examples: (...lines: string[]) => string,
): void {
  const group = program.command("conformance").description("try whether a program keeps to the contract");

  function addKit<P extends Probe>(
    name: string,
    kit: Kit<P>,
    description: string,
    needs: readonly Option[],
    help: { readonly exampleArguments: readonly string[]; readonly words: string },
  ): void {
    const command = group
      .command(name)
      .description(description)
      .addArgument(new Argument("<address>", `${kit.subject}, host:port`).argParser(parseAddress))
      .option("--only <name...>", "these checks only; a subject, such as files, stands for all of its checks")
      .addOption(
        new Option("--level <level>", "what every server must do, or also what is optional")
          .choices(["required", "full"])
          .default("full"),
      )
      .option("--restart-cmd <command>", "kills the server and starts it again, and then ends; run by the shell");
    for (const option of needs) command.addOption(option);
    command
      .addOption(
        new Option("--answer-timeout <seconds>", "how long an answer may take")
          .default(10_000, "10")
          .argParser(parseSeconds),
      )
      .option("--seed <number>", "choose the same contents and cuts again", parseSeed, 1)
      .addHelpText(
        "after",
        `${examples(...help.exampleArguments.map((words) => `lb-cli conformance ${name} ${words}`))}

${help.words}
Exit codes: 0 everything tried holds, 1 something does not, 2 the command was not given rightly, 3 nothing answers there.`,
      )
      .action(
        action((context, address: string, options: ConformanceOptions) => conformance(kit, address, options, context)),
      );
  }

  const count = (flags: string, description: string) => new Option(flags, description).argParser(parseCount);

  addKit(
    "storage",
    storageKit,
    "drive a running storage server through the contract; the balancer is not asked",
    [
      count("--overload-files <number>", "from how many files in progress on the server is overloaded"),
      count("--busy-files <number>", "from how many files in progress on the server answers busy"),
    ],
    {
      exampleArguments: [
        "127.0.0.1:50061",
        "127.0.0.1:50061 --only identity fencing.term",
        "127.0.0.1:50061 --restart-cmd 'systemctl kill -s KILL my-storage; systemctl start my-storage'",
      ],
      words:
        "Stores files under origins of its own, and removes them where the server has Discard: use a server without other traffic.",
    },
  );
}
