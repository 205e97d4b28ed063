import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fingerprint } from "@bilancia/proto/file-changes";
import { packageVersion } from "@bilancia/proto/package-version";
import { describeError, errorCode } from "@bilancia/proto/system-error";
import { Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { type Config, configSchema } from "./config-schema.js";

/** The program's own, for example `0.1.0`: read once, not with each configuration. */
export const version = packageVersion(import.meta.url);

/** The configuration cannot be used. `problems` are lines for people; each names the key, what was expected and what came. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** The file that the audit is written to; `undefined` for none. */
export function auditFile({ stateDir, audit: { file } }: Pick<Config, "stateDir" | "audit">): string | undefined {
  if (file === "off") return undefined;
  return file === "" ? path.join(stateDir, "audit.jsonl") : file;
}

/** The environment's variables. */
type Environment = Readonly<Record<string, string | undefined>>;

/** A tree of settings as one source gives it, not yet checked. */
type Settings = { [key: string]: Settings | unknown };

const environmentPrefix = "BILANCIA_";

/**
 * Reads the configuration from its four sources, flags over environment over file over defaults, and checks the result.
 *
 * @param args command line without node and script
 * @param environment keys `BILANCIA_SECTION__KEY`, for example `BILANCIA_LIMITS__MAX_FILE_BYTES`
 * @throws ConfigError, or commander's CommanderError (already written to stderr; exit code 0 for `--help`)
 */
export function readConfig(args: readonly string[], environment: Environment): Config {
  return readSources(args, environment).config;
}

/** A configuration, and the file that was read for it, if any, as it was then (`fingerprint`). */
interface ReadSources {
  readonly config: Config;
  readonly file: string | undefined;
  readonly seen: string;
}

/**
 * The same, with the path of the file that was read, if any.
 *
 * @throws as `readConfig`
 */
export function readSources(args: readonly string[], environment: Environment): ReadSources {
  const { config, settings: fromFlags } = readFlags(args);
  const file = config ?? environment[`${environmentPrefix}CONFIG`];
  // Before it is read: what changes while it is read, or later, is a change.
  const seen = file === undefined ? "" : fingerprint(file);
  const fromFile = file === undefined ? {} : readFile(file);
  const fromEnvironment = readEnvironment(environment);
  const merged = merge(merge(fromFile, fromEnvironment), fromFlags);
  const parsed = configSchema.safeParse(merged);
  if (parsed.success) return { config: deepFreeze(parsed.data), file, seen };
  // What breaks two rules at once, as a number that is far too large, is told once.
  throw new ConfigError([...new Set(parsed.error.issues.flatMap((issue) => describe(issue, merged)))]);
}

function readFlags(args: readonly string[]): { config: string | undefined; settings: Settings } {
  const settings: Settings = {};
  const put = (path: string) => (value: string) => {
    set(settings, path.split("."), value);
    return value;
  };
  const command = new Command("bilancia-balancer")
    .description("Takes file uploads over gRPC, keeps them safe, and spreads them over storage servers by weight.")
    .version(version, "-V, --version", "show the version")
    .option("-c, --config <file>", "YAML file with the settings below and more")
    .option("--listen <host:port>", "where clients upload (default: 127.0.0.1:50051)", put("listen"))
    .option(
      "--admin-listen <host:port>",
      "where the admin service answers (default: 127.0.0.1:50052)",
      put("admin.listen"),
    )
    .option(
      "--web-listen <host:port>",
      "where the page and the metrics are; empty for nowhere (default: 127.0.0.1:8080)",
      put("web.listen"),
    )
    .option("--state-dir <folder>", "the balancer's state (default: data/balancer)", put("stateDir"))
    .option("--log-file <file>", "log file; empty for none (default: loadbalancer.log)", put("log.file"))
    .option("--log-level <level>", "trace, debug, info, warn, error or silent (default: info)", put("log.level"))
    .option("--grace-ms <ms>", "time for files under way when stopping (default: 10000)", put("graceMs"))
    .addOption(
      new Option("--server <name=N,address=H:P,weight=W>", "a storage server; repeat for each").argParser(
        (value: string, previous: Settings[] | undefined) => {
          const server = parseServer(value);
          if (!server) throw new InvalidArgumentError(serverProblem(value));
          const servers = [...(previous ?? []), server];
          settings.servers = servers;
          return servers;
        },
      ),
    )
    .addHelpText(
      "after",
      `
Every setting of the file is also an environment variable: limits.maxFileBytes is BILANCIA_LIMITS__MAX_FILE_BYTES.
Flags win over the environment, the environment over the file.

Examples:
  bilancia-balancer --server name=storage-1,address=127.0.0.1:50061,weight=5 \\
                    --server name=storage-2,address=127.0.0.1:50062,weight=1
  bilancia-balancer --config bilancia.yaml --log-level debug`,
    )
    .allowExcessArguments(false)
    // Throws a CommanderError after it has written what is wrong, instead of ending the process with code 1.
    .exitOverride();
  command.parse([...args], { from: "user" });
  return { config: command.opts<{ config?: string }>().config, settings };
}

/** What the text says of a server; `undefined` where it cannot be understood. */
function parseServer(text: string): Settings | undefined {
  const server: Settings = {};
  for (const pair of text.split(",")) {
    const equals = pair.indexOf("=");
    const key = pair.slice(0, equals).trim();
    if (equals < 1 || !["name", "address", "weight"].includes(key)) return undefined;
    server[key] = pair.slice(equals + 1).trim();
  }
  return server;
}

function serverProblem(text: string): string {
  return `expected name=N,address=HOST:PORT,weight=W; came ${JSON.stringify(text)}`;
}

/** Servers between semicolons; nothing between two is passed over. @throws ConfigError */
function parseServers(variable: string, text: string): Settings[] {
  return text
    .split(";")
    .filter((part) => part.trim() !== "")
    .map((part) => {
      const server = parseServer(part);
      if (!server) throw new ConfigError([`${variable}: ${serverProblem(part.trim())}`]);
      return server;
    });
}

function readFile(path: string): Settings {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const missing = errorCode(error) === "ENOENT";
    throw new ConfigError([
      `${path}: ${missing ? "there is no such file" : `it cannot be read: ${describeError(error)}`}`,
    ]);
  }
  // Loaded where there is a file to read: it is some eighty of its own.
  const { parseDocument } = createRequire(import.meta.url)("yaml") as typeof import("yaml");
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new ConfigError([`${path}: not valid YAML: ${problem.message.split("\n")[0]}`]);
  let settings: unknown;
  try {
    settings = document.toJS() ?? {};
  } catch (error) {
    // An alias that stands for nothing, or for far too much.
    throw new ConfigError([`${path}: not valid YAML: ${error instanceof Error ? error.message : String(error)}`]);
  }
  if (refersToItself(settings)) throw new ConfigError([`${path}: a value in it contains itself (*alias)`]);
  if (typeof settings !== "object" || Array.isArray(settings)) {
    throw new ConfigError([`${path}: expected a mapping of settings; came ${kindOf(settings)}`]);
  }
  return settings as Settings;
}

function readEnvironment(environment: Environment): Settings {
  const settings: Settings = {};
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith(environmentPrefix) || otherVariables.has(variable)) continue;
    // A variable of the storage server's, on a machine that runs both.
    if (variable.startsWith("BILANCIA_STORAGE_")) continue;
    const path = variable.slice(environmentPrefix.length).split("__").map(camelCase);
    set(settings, path, path[0] === "servers" ? parseServers(variable, value) : value);
  }
  return settings;
}

/** Variables with the same prefix that belong to lb-cli, or say where the file is. */
const otherVariables = new Set([
  ...["BILANCIA_CONFIG", "BILANCIA_BALANCER", "BILANCIA_ADMIN", "BILANCIA_CA", "BILANCIA_CERT", "BILANCIA_KEY"],
]);

function camelCase(words: string): string {
  return words.toLowerCase().replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function set(settings: Settings, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    settings[key] = value;
    return;
  }
  if (typeof settings[key] !== "object") settings[key] = {};
  set(settings[key] as Settings, rest, value);
}

function merge(under: Settings, over: Settings): Settings {
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isSettings(below) && isSettings(value) ? merge(below, value) : value;
  }
  return merged;
}

function isSettings(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(issue: z.core.$ZodIssue, input: Settings): string[] {
  const key = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path);
    return issue.keys.map(
      (name) => `${[...issue.path, name].join(".")}: unknown key; expected one of ${known.join(", ")}`,
    );
  }
  const came = issue.path.reduce<unknown>((value, step) => (value as Settings | undefined)?.[String(step)], input);
  // All other rules have words of their own.
  const isGroup = issue.code === "invalid_type" && issue.expected === "object";
  const expected = isGroup ? "expected a group of settings" : issue.message;
  return [`${key || "configuration"}: ${expected}; came ${shown(came)}`];
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configSchema;
  for (const step of path) {
    const inner = unwrap(schema);
    schema =
      inner instanceof z.ZodArray ? inner.element : inner instanceof z.ZodObject ? inner.shape[String(step)] : inner;
  }
  const inner = unwrap(schema);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  return schema;
}

function refersToItself(value: unknown, around: readonly unknown[] = []): boolean {
  if (typeof value !== "object" || value === null) return false;
  return around.includes(value) || Object.values(value).some((inner) => refersToItself(inner, [...around, value]));
}

/** A value as JSON has it, but for numbers that JSON has not. */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
