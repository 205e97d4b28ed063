import { Argument, type Command } from "commander";
import { interruptible } from "./commands/interrupt.js";
import { parseAddress, parseWeight } from "./commands/option-values.js";
import type { ActionMaker } from "./program.js";
import { unknownSubcommand } from "./unknown-command.js";

const changes = () => import("./commands/change-servers.js");

/** Adds `servers` and its commands. */
export function addServerCommands(
  program: Command,
  action: ActionMaker,
  examples: (...lines: string[]) => string,
): void {
  const command = program
    .command("servers")
    .description("show the storage servers as the balancer sees them, or change which there are")
    .addHelpText(
      "after",
      `${examples(
        "lb-cli servers",
        "lb-cli servers --json | jq 'select(.available | not)'",
        "lb-cli servers add storage-4 10.0.0.4:50061 --weight 2",
        "lb-cli servers drain storage-4 && lb-cli servers remove storage-4",
      )}

Changes are in force at once and survive a restart of the balancer, until the server's entry in the configuration is changed.`,
    )
    .allowExcessArguments()
    .action(
      action(
        () => import("./commands/servers.js"),
        ({ servers }, context, _options: object, { args: [unknown] }: Command) => {
          if (unknown !== undefined) throw unknownSubcommand(unknown, command, "no word");
          return servers(context);
        },
      ),
    );
  command
    .command("add")
    .description("add a storage server; it gets files as soon as it serves")
    .addArgument(nameArgument())
    .addArgument(new Argument("<address>", "host:port").argParser(parseAddress))
    .option("--weight <number>", "its share of the files, 1-256", parseWeight, 1)
    .addHelpText("after", examples("lb-cli servers add storage-4 10.0.0.4:50061 --weight 2"))
    .action(
      action(changes, ({ addServer }, context, name: string, address: string, { weight }: { weight: number }) =>
        addServer({ name, address, weight }, context),
      ),
    );
  command
    .command("set-weight")
    .description("give a storage server another share of the files")
    .addArgument(nameArgument())
    .addArgument(new Argument("<weight>", "1-256").argParser(parseWeight))
    .addHelpText("after", examples("lb-cli servers set-weight storage-1 3"))
    .action(
      action(changes, ({ setServerWeight }, context, name: string, weight: number) =>
        setServerWeight(name, weight, context),
      ),
    );
  command
    .command("drain")
    .description("give a storage server nothing new, and wait until nothing is on its way to it")
    .addArgument(nameArgument())
    .option("--no-wait", "do not wait")
    .addHelpText("after", examples("lb-cli servers drain storage-1", "lb-cli servers drain storage-1 --no-wait"))
    .action(
      action(changes, ({ drainServer }, context, name: string, { wait }: { wait: boolean }) =>
        interruptible((signal) => drainServer(name, wait, context, signal)),
      ),
    );
  command
    .command("enable")
    .description("give a storage server files again that was drained")
    .addArgument(nameArgument())
    .addHelpText("after", examples("lb-cli servers enable storage-1"))
    .action(action(changes, ({ enableServer }, context, name: string) => enableServer(name, context)));
  command
    .command("remove")
    .description("take a storage server out that is drained; its disk is not touched")
    .addArgument(nameArgument())
    .option("-f, --force", "also when it is in use: what is on its way to it goes to others", false)
    .addHelpText(
      "after",
      `${examples("lb-cli servers remove storage-4", "lb-cli servers remove storage-4 --force")}

A server that may hold files whose answers were lost is not removed without --force: copies that are one too many
would stay there, until a server of its name is added again.`,
    )
    .action(
      action(changes, ({ removeServer }, context, name: string, { force }: { force: boolean }) =>
        removeServer(name, force, context),
      ),
    );
}

function nameArgument(): Argument {
  return new Argument("<name>", "the server's name");
}
