import type { AckStage } from "../client/upload-types.js";
import { humanBytes } from "../output/human.js";
import { renderTable } from "../output/table.js";
import { type CommandContext, exitCode, UsageError } from "./command-context.js";
import { reportError } from "./command-error.js";
import { kindByName } from "./document-kind.js";
import type { FilePriorities } from "./file-priorities.js";
import { listFolder } from "./folder.js";
import { ftp } from "./ftp.js";
import { interruptible } from "./interrupt.js";
import { parseCount } from "./option-values.js";
import type { Prompter, Say } from "./prompter.js";
import { servers } from "./servers.js";
import { balancerStatus, uploadStatus } from "./status.js";
import { parseUploadKey } from "./upload-key.js";

/** What the shell works with. */
export interface ShellOptions {
  /** The folder whose documents are listed and sent. */
  readonly dir: string;
  readonly ack: AckStage;
  readonly priority: FilePriorities;
}

const help = `FTP [COUNT]        send documents drawn at random from the folder
list               list the documents of the folder
servers            show the storage servers
status             show the balancer
status UPLOAD      show one upload, by its request number or upload id
help               show this
exit               leave (Ctrl-D does too)`;

/**
 * The interactive shell: lists the documents, then takes commands until `exit` or the end of the input. What fails is told, and the next
 * command is taken.
 *
 * @returns the exit code: 0, or that of the last command that failed
 * @throws UsageError when the folder is missing or empty
 */
export async function shell(options: ShellOptions, prompter: Prompter, context: CommandContext): Promise<number> {
  const { screen } = context;
  await list(options, context);
  await sayOf(context)("\nCommands: FTP, list, servers, status, help, exit");
  let worst: number = exitCode.ok;
  for (;;) {
    const line = await prompter.ask("lb-cli");
    if (line === undefined) return worst;
    const [word = "", ...words] = line.split(/\s+/);
    if (word === "") continue;
    if (["exit", "quit"].includes(word.toLowerCase())) return worst;
    try {
      const code = await obey(word, words, options, prompter, context);
      if (code !== exitCode.ok) worst = code;
    } catch (error) {
      worst = reportError(error, screen);
    }
  }
}

/** How the shell speaks to a person: to the side, where the output is for programs. */
export function sayOf({ screen, json }: Pick<CommandContext, "screen" | "json">): Say {
  return json ? async (text) => screen.remark(text) : screen.print;
}

async function obey(
  word: string,
  words: readonly string[],
  options: ShellOptions,
  prompter: Prompter,
  context: CommandContext,
): Promise<number> {
  const [argument] = words;
  switch (word.toLowerCase()) {
    case "ftp": {
      const count = await askCount(argument, prompter, context);
      if (count === undefined) return exitCode.ok;
      return interruptible((signal) => ftp({ ...options, count, repeat: true }, context, signal));
    }
    case "list":
    case "ls":
      return list(options, context);
    case "servers":
      return servers(context);
    case "status":
      return argument === undefined ? balancerStatus(context) : uploadStatus(parseUploadKey(argument), context);
    case "help":
    case "?":
      await sayOf(context)(help);
      return exitCode.ok;
    default:
      throw new UsageError(`unknown command '${word}'; expected FTP, list, servers, status, help or exit`);
  }
}

/** Asks until a good number comes, or nothing more. */
async function askCount(
  given: string | undefined,
  prompter: Prompter,
  { screen }: CommandContext,
): Promise<number | undefined> {
  let answer = given ?? (await prompter.ask("How many documents"));
  while (answer !== undefined) {
    try {
      return parseCount(answer);
    } catch (error) {
      reportError(error, screen);
    }
    answer = await prompter.ask("How many documents");
  }
  return undefined;
}

async function list({ dir }: ShellOptions, context: CommandContext): Promise<number> {
  const files = await listFolder(dir, "--dir");
  const table = renderTable(
    [
      { title: "document", text: ({ name }) => name, minWidth: 12 },
      { title: "size", align: "right", text: ({ sizeBytes }) => humanBytes(sizeBytes) },
      { title: "kind", text: ({ name }) => kindByName(name), dropOrder: 1 },
    ],
    files,
    context.screen,
  );
  await sayOf(context)(`Documents in ${dir}:\n${table}`);
  return exitCode.ok;
}
