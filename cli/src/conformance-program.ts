import { Argument, type Command, Option } from "commander";
import type { ConformanceOptions } from "./commands/conformance.js";
import {
  parseAddress,
  parseCount,
  parseLargestFile,
  parseQueueFiles,
  parseSeed,
  parseTimeout,
} from "./commands/option-values.js";
import type { Kit } from "./conformance/check.js";
import type { Probe } from "./conformance/probe.js";
import type { ActionMaker } from "./program.js";
import { tellUnknownCommands } from "./unknown-command.js";

/** Adds `conformance` and its commands. */
export function addConformanceCommands(
  program: Command,
  action: ActionMaker,
  examples: (...lines: string[]) => string,
): void {
  const group = program
    .command("conformance")
    .description("try whether a program keeps to the contract")
    .addHelpText(
      "after",
      examples("lb-cli conformance storage 127.0.0.1:50061", "lb-cli conformance balancer 127.0.0.1:50051"),
    );
  tellUnknownCommands(group);

  function addKit<P extends Probe>(
    name: string,
    load: () => Promise<Kit<P>>,
    description: string,
    needs: readonly Option[],
    help: { readonly address: string; readonly exampleArguments: readonly string[]; readonly words: string },
  ): void {
    const command = group
      .command(name)
      .description(description)
      .addArgument(new Argument("<address>", help.address).argParser(parseAddress))
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
          .argParser(parseTimeout),
      )
      .option("--seed <number>", "choose the same contents and cuts again", parseSeed, 1)
      .addHelpText(
        "after",
        `${examples(...help.exampleArguments.map((words) => `lb-cli conformance ${name} ${words}`))}

${help.words}
Exit codes: 0 everything tried holds, 1 something does not, 2 the command was not given rightly, 3 nothing answers there.`,
      )
      .action(
        action(
          async () => ({ ...(await import("./commands/conformance.js")), kit: await load() }),
          ({ conformance, kit }, context, address: string, options: ConformanceOptions) =>
            conformance(kit, address, options, context),
        ),
      );
  }

  const number = (flags: string, description: string, parse = parseCount) =>
    new Option(flags, description).argParser(parse);

  addKit(
    "storage",
    async () => (await import("./conformance/storage/catalogue.js")).storageKit,
    "drive a running storage server through the contract; the balancer is not asked",
    [
      number("--overload-files <number>", "from how many files in progress on the server is overloaded"),
      number("--busy-files <number>", "from how many files in progress on the server answers busy"),
    ],
    {
      address: "the storage server, host:port",
      exampleArguments: [
        "127.0.0.1:50061",
        "127.0.0.1:50061 --only identity fencing.term",
        "127.0.0.1:50061 --restart-cmd 'systemctl kill -s KILL my-storage; systemctl start my-storage'",
      ],
      words:
        "Stores files under origins of its own, and removes them where the server has Discard: use a server without other traffic.",
    },
  );

  addKit(
    "balancer",
    async () => (await import("./conformance/balancer/catalogue.js")).balancerKit,
    "drive a running balancer through the contract, as its clients see it",
    [
      number(
        "--max-file-bytes <number>",
        "the largest file that the balancer takes, at least 64 MiB",
        parseLargestFile,
      ),
      number(
        "--queue-files <number>",
        "how many files its queue takes that are not stored, at least 400",
        parseQueueFiles,
      ),
    ],
    {
      address: "the balancer, host:port",
      exampleArguments: [
        "127.0.0.1:50051",
        "127.0.0.1:50051 --only resume identity.superseded",
        "127.0.0.1:50051 --level required --json",
        "127.0.0.1:50051 --max-file-bytes 70000000 --queue-files 500   # started with these limits",
        "127.0.0.1:50051 --restart-cmd 'systemctl kill -s KILL my-balancer; systemctl start my-balancer'",
      ],
      words: `What is stored stays on the storage servers, about 100 MiB: use a pool of its own, and a balancer without other traffic.
Files that the balancer finds to be wrong when it has all of them may stay there as dead letters, named sample.bin.`,
    },
  );
}
