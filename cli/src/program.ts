import type { ReadStream } from "node:tty";
import { policyNames } from "@bilancia/balancer/dist/domain/policy.js";
import { packageVersion } from "@bilancia/proto/package-version";
import { Argument, Command, Option } from "commander";
import type { CommandContext } from "./commands/command-context.js";
import { FilePriorities } from "./commands/file-priorities.js";
import type { FtpOptions } from "./commands/ftp.js";
import { interruptible } from "./commands/interrupt.js";
import {
  parseAddress,
  parseCount,
  parseRequestNumber,
  parseSeconds,
  parseSeed,
  parseTimeout,
  parseWeights,
} from "./commands/option-values.js";
import type { ShellOptions } from "./commands/shell.js";
import type { SimulateOptions } from "./commands/simulate.js";
import type { UploadCommandOptions } from "./commands/upload.js";
import { parseUploadKey } from "./commands/upload-key.js";
import { addConformanceCommands } from "./conformance-program.js";
import { addDeadLetterCommands } from "./dead-letter-program.js";
import type { Screen } from "./output/screen.js";
import { addServerCommands } from "./server-program.js";
import { tellUnknownCommands, unknownCommand } from "./unknown-command.js";

/** What the program works with, and where a command leaves its exit code. */
export interface ProgramHost {
  readonly stdin: ReadStream;
  readonly screen: Screen;
  readonly exit: (code: number) => void;
}

/** Makes an action of something that needs the context, and a module, which is loaded only now: nobody waits for what other commands need. */
export type ActionMaker = <Module, Arguments extends unknown[]>(
  load: () => Promise<Module>,
  run: (module: Module, context: CommandContext, ...args: Arguments) => Promise<number>,
) => (...args: Arguments) => Promise<void>;

interface GlobalOptions {
  readonly balancer: string;
  readonly admin: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly connectTimeout: number;
  readonly retryFor: number;
  readonly json?: boolean;
}

/** Those that are named where one is not known. */
const commandNames = [
  ...["ftp", "upload", "servers", "status", "dead-letters", "explain", "simulate", "trace", "audit", "conformance"],
  "shell",
];

const exitCodes = `
Exit codes:
  0  all files are stored (or queued, with --ack queued)
  1  some are not, or the balancer refused
  2  the command was not given rightly, or the folder is missing or empty
  3  the balancer cannot be reached
  130  stopped by Ctrl-C or SIGTERM; what the balancer has by then it may still store`;

const examples = (...lines: string[]) => `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`;

/** The command line of `lb-cli`. Errors of usage are thrown as `CommanderError`, after commander has told them. */
export function createProgram(host: ProgramHost): Command {
  const program = new Command("lb-cli")
    .description("Sends files to a Bilancia balancer, and shows where they are.")
    .version(packageVersion(import.meta.url), "-V, --version", "show the version")
    .addOption(
      new Option("--balancer <address>", "the balancer, host:port")
        .env("BILANCIA_BALANCER")
        .default("127.0.0.1:50051")
        .argParser(parseAddress),
    )
    .addOption(
      new Option("--admin <address>", "the balancer's admin service, host:port")
        .env("BILANCIA_ADMIN")
        .default("127.0.0.1:50052")
        .argParser(parseAddress),
    )
    .option(
      "--tls",
      "connect with TLS, as any of the next three does, too; without --ca to those whose authority Node knows",
    )
    .addOption(new Option("--ca <file>", "the authorities of their certificates, PEM").env("BILANCIA_CA"))
    .addOption(new Option("--cert <file>", "the certificate to show to them, PEM").env("BILANCIA_CERT"))
    .addOption(new Option("--key <file>", "its private key, PEM").env("BILANCIA_KEY"))
    .addOption(secondsOption("--connect-timeout <seconds>", "time allowed for the first connection", 5, parseTimeout))
    .addOption(secondsOption("--retry-for <seconds>", "how long to try again after a lost connection", 30))
    .option("--json", "print one JSON object per line, for programs")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    // Commander's own shows the help of all where there is no such command, and does not say so.
    .helpCommand(false)
    .addHelpText(
      "after",
      `${examples(
        "lb-cli                               # the interactive shell",
        "lb-cli ftp --count 5",
        "lb-cli upload report.pdf scans/ -r",
        "lb-cli servers --json",
      )}\n${exitCodes}`,
    );

  const action: ActionMaker =
    (load, run) =>
    async (...args) =>
      host.exit(await run(await load(), contextOf(program.opts<GlobalOptions>(), host.screen), ...args));

  program
    .command("shell", { isDefault: true })
    .description("take commands interactively; this is what happens without a command")
    .option("--dir <folder>", "the folder with the documents", "file")
    .addOption(ackOption())
    .addOption(priorityOption())
    .allowExcessArguments()
    .addHelpText("after", examples("lb-cli", "lb-cli shell --dir documents"))
    .action(
      action(
        () => import("./commands/shell.js"),
        async ({ shell, sayOf }, context, options: ShellOptions, command: Command) => {
          const [unknown] = command.args;
          if (unknown !== undefined) throw unknownCommand(unknown, commandNames);
          const { createPrompter } = await import("./commands/prompter.js");
          const prompter = createPrompter(host.stdin, sayOf(context), context.json ? host.screen.side : undefined);
          try {
            return await shell(options, prompter, context);
          } finally {
            prompter.close();
          }
        },
      ),
    );

  program
    .command("ftp")
    .description("send files drawn at random from a folder")
    .requiredOption("-c, --count <number>", "how many files to send", parseCount)
    .option("--dir <folder>", "the folder to draw from", "file")
    .option("--seed <number>", "draw the same files again", parseSeed)
    .option("--no-repeat", "draw each file at most once")
    .addOption(ackOption())
    .addOption(priorityOption())
    .addHelpText(
      "after",
      `\n*.json files are sent as text documents, all others as binary. Hidden files are left out.
${examples("lb-cli ftp --count 5", "lb-cli ftp --count 3 --dir documents --no-repeat --seed 1", "lb-cli ftp -c 100 --json | jq -r .server | sort | uniq -c")}`,
    )
    .action(
      action(
        () => import("./commands/ftp.js"),
        ({ ftp }, context, options: FtpOptions) => interruptible((signal) => ftp(options, context, signal)),
      ),
    );

  program
    .command("upload")
    .description("send files, folders, or standard input")
    .argument("<path...>", "files; folders with -r; - for standard input")
    .option("-r, --recursive", "send what is in folders, except hidden files", false)
    .option("--name <name>", "name for what comes from standard input", "stdin")
    .addOption(
      new Option("--kind <kind>", "what the files are; auto looks into *.json files")
        .choices(["auto", "text", "binary"])
        .default("auto"),
    )
    .addOption(ackOption())
    .addOption(priorityOption())
    .option(
      "--resume",
      "remember what was begun, and go on with what an earlier run with --resume has not finished",
      false,
    )
    .option("--state-file <file>", "where to remember it, implies --resume (default: in the user's state folder)")
    .addHelpText(
      "after",
      examples(
        "lb-cli upload report.pdf notes.json",
        "lb-cli upload -r scans/",
        "lb-cli upload -r site/ --priority '*.map=low' --priority 'index.*=high'",
        "lb-cli upload --resume disk.img   # the same again after it was cut off",
        "tar c project | lb-cli upload - --name project.tar",
      ),
    )
    .action(
      action(
        () => import("./commands/upload.js"),
        ({ upload }, context, paths: string[], options: Omit<UploadCommandOptions, "paths">) =>
          interruptible((signal) => upload({ ...options, paths }, host.stdin, context, signal)),
      ),
    );

  addServerCommands(program, action, examples);
  addDeadLetterCommands(program, host, action, examples);
  addConformanceCommands(program, action, examples);

  program
    .command("status")
    .description("show the balancer, or one upload")
    .addArgument(new Argument("[upload]", "request number or upload id"))
    .addHelpText(
      "after",
      examples("lb-cli status", "lb-cli status 42", "lb-cli status 0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10"),
    )
    .action(
      action(
        () => import("./commands/status.js"),
        ({ balancerStatus, uploadStatus }, context, key: string | undefined) =>
          key === undefined ? balancerStatus(context) : uploadStatus(parseUploadKey(key), context),
      ),
    );

  program
    .command("explain")
    .description("tell why a file went to its server, and not to another")
    .addArgument(new Argument("<number>", "request number").argParser(parseRequestNumber))
    .addOption(auditOption())
    .addHelpText(
      "after",
      `${examples("lb-cli explain 42", "lb-cli explain 42 --json | jq '.choices[].candidates[] | select(.compared | not)'")}

The balancer remembers the last choices only (picks.keep). Of older ones the attempts are told, and what the audit file has.`,
    )
    .action(
      action(
        () => import("./commands/explain.js"),
        ({ explain }, context, requestNumber: bigint, options: { audit: string }) =>
          explain(requestNumber, options.audit, context),
      ),
    );

  program
    .command("simulate")
    .description("replay a recorded load under another policy or other weights, and compare; the balancer is not asked")
    .requiredOption("--trace <file...>", "what the balancer has recorded (picks.file); several files in their order")
    .addOption(new Option("--policy <policy>", "default: as recorded").choices(policyNames))
    .option("--weights <name=weight,...>", "in place of those recorded, for the servers named", parseWeights)
    .option("--seed <number>", "for policies that draw", parseSeed, 1)
    .addHelpText(
      "after",
      `${examples(
        "lb-cli simulate --trace picks.jsonl --policy byte_weighted",
        "lb-cli simulate --trace picks.jsonl.1 picks.jsonl --weights storage-1=5,storage-2=1 --json",
      )}

What is simulated and what is not: docs/balancing.md.`,
    )
    .action(
      action(
        () => import("./commands/simulate.js"),
        ({ simulate }, context, options: SimulateOptions) => simulate(options, context),
      ),
    );

  program
    .command("trace")
    .description("tell the story of one file, from the balancer's audit file; the balancer is not asked")
    .argument("<upload>", "request number or upload id")
    .addOption(auditOption())
    .addHelpText("after", examples("lb-cli trace 42", "lb-cli trace 42 --audit /var/lib/bilancia/audit.jsonl --json"))
    .action(
      action(
        () => import("./commands/trace.js"),
        ({ trace }, context, key: string, options: { audit: string }) =>
          trace(parseUploadKey(key), options.audit, context),
      ),
    );

  const audit = program
    .command("audit")
    .description("check the balancer's audit file")
    .addHelpText("after", examples("lb-cli audit verify"));
  tellUnknownCommands(audit);
  audit
    .command("verify")
    .description("find entries that were changed, removed or moved; the balancer is not asked")
    .addOption(auditOption())
    .addHelpText(
      "after",
      `${examples("lb-cli audit verify", "lb-cli audit verify --audit copy-of-audit.jsonl --json")}

Exit codes: 0 the chain holds, 1 it does not, 2 there is no such file.
Entries cut off at the end cannot be seen: compare the last entry that is told with one noted earlier.`,
    )
    .option("--partial", "the oldest files are elsewhere: begin with the first entry that is there", false)
    .action(
      action(
        () => import("./commands/audit-verify.js"),
        ({ auditVerify }, context, options: { audit: string; partial: boolean }) =>
          auditVerify(options.audit, options.partial, context),
      ),
    );

  program
    .command("help")
    .description("display help for command")
    .argument("[command]")
    .addHelpText("after", examples("lb-cli help upload"))
    .action((name?: string) => {
      const known = name === undefined ? program : program.commands.find((command) => command.name() === name);
      if (!known) throw unknownCommand(`${name}`, commandNames);
      known.help();
    });

  return program;
}

function auditOption(): Option {
  return new Option("--audit <file>", "the balancer's audit file").default("data/balancer/audit.jsonl");
}

function ackOption(): Option {
  return new Option("--ack <stage>", "when a file counts as done: stored by a server, or queued by the balancer")
    .choices(["stored", "queued"])
    .default("stored");
}

function priorityOption(): Option {
  return new Option(
    "--priority <level>",
    "how urgent files are among those of this run: low, normal or high; 'pattern=level' for those whose names fit; may be repeated, the last that fits counts",
  )
    .default(new FilePriorities(), "normal")
    .argParser<FilePriorities>((text, before) => before.with(text));
}

function secondsOption(flags: string, description: string, seconds: number, parse = parseSeconds): Option {
  return new Option(flags, description).default(seconds * 1000, `${seconds}`).argParser(parse);
}

function contextOf(options: GlobalOptions, screen: Screen): CommandContext {
  const { tls, ca = "", cert = "", key = "" } = options;
  return {
    screen,
    balancer: options.balancer,
    admin: options.admin,
    tls: tls || ca || cert || key ? { ca, cert, key } : undefined,
    connectTimeoutMs: options.connectTimeout,
    retryForMs: options.retryFor,
    json: options.json ?? false,
  };
}
