import { ListenError } from "@bilancia/proto/grpc-server";
import { giveHeapRoom } from "@bilancia/proto/heap-room";
import { packageVersion } from "@bilancia/proto/package-version";
import { CertificateError } from "@bilancia/proto/tls/pem";
import { Command, CommanderError, Option } from "commander";
import { startStorageServer } from "./app.js";
import { ConfigError, defaultOptions, resolveConfig } from "./config.js";
import { createLog } from "./log.js";
import { DirectoryError } from "./storage-directory.js";

const exitUsage = 2;
const exitFailure = 1;
/** What a shell reports for a process that Ctrl-C ended. */
const exitInterrupted = 130;

function option(flags: string, description: string, key: keyof typeof defaultOptions): Option {
  const made = new Option(flags, description).default(defaultOptions[key]);
  return made.env(environmentName(key));
}

/** A variable that means nothing may be one that was meant otherwise: with it a server could run in plain text, and its operator would not know. */
function refuseUnknownVariables(): void {
  const known = new Set(Object.keys(defaultOptions).map(environmentName));
  for (const variable of Object.keys(process.env))
    if (variable.startsWith(environmentPrefix) && !known.has(variable))
      fail(`${variable}: there is no such variable; see --help`, exitUsage);
}

const environmentPrefix = "BILANCIA_STORAGE_";

function environmentName(key: string): string {
  return `${environmentPrefix}${key.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
}

const program = new Command("bilancia-storage")
  .description("A storage server of Bilancia: keeps files that a balancer sends on its disk.")
  .version(packageVersion(import.meta.url), "-V, --version", "show the version")
  .addOption(option("--name <name>", "its name, for logs and reports", "name"))
  .addOption(option("--listen <host:port>", "where to serve; port 0 takes a free one", "listen"))
  .addOption(option("--dir <path>", "where files come to lie; made if it is missing", "dir"))
  .addOption(option("--wipe [true|false]", "remove all stored files at the start", "wipe"))
  .addOption(option("--grace <duration>", "time for files in progress when it stops", "grace"))
  .addOption(
    option(
      "--simulate-work-ms-per-char <ms>",
      "let text documents take long, to try overload",
      "simulateWorkMsPerChar",
    ),
  )
  .addOption(option("--max-file-bytes <bytes>", "largest file", "maxFileBytes"))
  .addOption(option("--max-document-bytes <bytes>", "largest text document", "maxDocumentBytes"))
  .addOption(option("--max-files-in-progress <files>", "more are answered with 'busy'", "maxFilesInProgress"))
  .addOption(
    option("--overload-memory-percent <marks>", "growth of memory, percentage points of all", "overloadMemoryPercent"),
  )
  .addOption(option("--overload-event-loop-ms <marks>", "how late timers fire", "overloadEventLoopMs"))
  .addOption(option("--overload-files <marks>", "files in progress", "overloadFiles"))
  .addOption(option("--overload-free-disk-percent <marks>", "less free disk than this", "overloadFreeDiskPercent"))
  .addOption(
    option(
      "--balancer <host:port[,...]>",
      "balancers to tell of the start, or to join while it runs where they do not have it configured",
      "balancer",
    ),
  )
  .addOption(option("--advertise <host:port>", "its address as the balancers reach it, if not --listen", "advertise"))
  .addOption(option("--weight <weight>", "its share, 1-256, with balancers that do not have it configured", "weight"))
  .addOption(
    option("--claim <what>", "what to ask the balancers for at the start: failed (here before) or none", "claim"),
  )
  .addOption(option("--tls-cert <file>", "its certificate, and those up to its authority, PEM", "tlsCert"))
  .addOption(option("--tls-key <file>", "the private key of it, PEM without a passphrase", "tlsKey"))
  .addOption(option("--tls-client-ca <file>", "take only clients with a certificate of these, PEM", "tlsClientCa"))
  .addOption(option("--balancer-ca <file>", "connect to the balancers with TLS; their authorities, PEM", "balancerCa"))
  .addOption(option("--log-level <level>", "trace, debug, info, warn, error, fatal or silent", "logLevel"))
  .allowExcessArguments(false)
  .addHelpText(
    "after",
    `
Overload marks are HIGH, HIGH:LOW or off: overloaded from HIGH on, until the figure is back at LOW.
A text document that is nested deeper than 1,000, or has more than 1,000,000 values, is refused.

Examples:
  bilancia-storage --name storage-1 --listen 127.0.0.1:50061 --dir data/json_files_1
  bilancia-storage --listen 0.0.0.0:50062 --dir /srv/files --overload-files 2000:1500 --overload-memory-percent off
  bilancia-storage --listen 0.0.0.0:50061 --balancer 10.0.0.1:50051 --advertise 10.0.0.5:50061 --weight 2
  BILANCIA_STORAGE_DIR=/srv/files bilancia-storage --grace 30s`,
  )
  .exitOverride()
  // Errors are said once, below.
  .configureOutput({ writeErr: () => {} });

/** Ends the process with one line for the user. */
function fail(message: string, exitCode: number): never {
  process.stderr.write(`bilancia-storage: ${message.replaceAll("\n", " ")}\n`);
  process.exit(exitCode);
}

function configFromCommandLine() {
  try {
    program.parse();
    refuseUnknownVariables();
    return resolveConfig(program.opts(), (key) => {
      if (program.getOptionValueSource(key) === "env") return environmentName(key);
      return program.options.find((candidate) => candidate.attributeName() === key)?.long ?? key;
    });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) process.exit(0);
      fail(`${error.message.replace(/^error: /, "")}; see --help`, exitUsage);
    }
    if (error instanceof ConfigError) fail(error.message, exitUsage);
    throw error;
  }
}

giveHeapRoom();
const config = configFromCommandLine();
const log = createLog(config.logLevel);

process.on("uncaughtException", (error) => {
  log.fatal({ err: error }, "unexpected error");
  process.exit(exitFailure);
});

try {
  const server = await startStorageServer(config, log);
  let stopping = false;
  const stop = async () => {
    if (stopping) process.exit(exitInterrupted);
    stopping = true;
    await server.stop();
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
  void server.broken.then(() => process.exit(exitFailure));
} catch (error) {
  if (error instanceof ListenError || error instanceof DirectoryError || error instanceof CertificateError)
    fail(error.message, exitFailure);
  throw error;
}
