import type { Command } from "commander";
import { UsageError } from "./commands/command-context.js";

/** The error for a word that is no command. `expected` are the words that are, and may end with what else could be there. */
export function unknownCommand(word: string, expected: readonly string[]): UsageError {
  const last = expected.at(-1);
  const others = expected.slice(0, -1).join(", ");
  return new UsageError(`unknown command '${word}'; expected ${others === "" ? last : `${others} or ${last}`}`);
}

/** The same for a command that has commands of its own. */
export function unknownSubcommand(word: string, group: Command, ...orElse: string[]): UsageError {
  return unknownCommand(word, [...group.commands.map((command) => command.name()), ...orElse]);
}

/** Has a group, which does nothing without a command of its own, say which there are. */
export function tellUnknownCommands(group: Command): void {
  group.on("command:*", ([word]: string[]) => {
    throw unknownSubcommand(`${word}`, group);
  });
}
