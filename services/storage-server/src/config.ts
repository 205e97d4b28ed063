import { maxFileBytes } from "@bilancia/proto/limits";
import type { CertificatePaths } from "@bilancia/proto/tls/pem";
import { z } from "zod";
import type { OverloadLimits, WaterMarks } from "./overload.js";

/** How a storage server is to run. Validated once, then frozen. */
export interface StorageConfig {
  /** Its own name, for people. */
  readonly name: string;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  /** Where files come to lie. */
  readonly dir: string;
  /** Remove all stored files at the start. */
  readonly wipe: boolean;
  /** How long files in progress may take when the server stops, in milliseconds. */
  readonly graceMs: number;
  /** How long a text document takes before it is acknowledged, in milliseconds for each character. */
  readonly simulateWorkMsPerChar: number;
  /** Largest file, in bytes. */
  readonly maxFileBytes: number;
  /** Largest text document, in bytes; it is read as a whole. */
  readonly maxDocumentBytes: number;
  /** From how many files in progress on the answer is `busy`. */
  readonly maxFilesInProgress: number;
  /** Balancers that are told of the start, `host:port` each. */
  readonly balancers: readonly string[];
  /** The address under which the balancers know it, `host:port`; absent: where it listens, unless that is all interfaces. */
  readonly advertise: string | undefined;
  /** Its share of the files, 1-256, with a balancer that does not have it in its configuration. */
  readonly weight: number;
  /** What is claimed of the balancers at the start. */
  readonly claim: "none" | "failed";
  /** Certificate, key and the clients' authorities, files in PEM; empty texts for none. */
  readonly tls: CertificatePaths;
  /** The authorities of the balancers' certificates, a file in PEM; empty for balancers without TLS. */
  readonly balancerCa: string;
  readonly overload: OverloadLimits;
  readonly logLevel: string;
}

/** An option has a bad value. The message names the option, what was expected and what came. */
export class ConfigError extends Error {}

/** The options as texts, by the names that the command line has for them. A missing one takes its default. */
export type RawOptions = Readonly<Record<string, unknown>>;

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
// Strings of digits only: `Number("")` and `Number("1e3")` would say yes to what nobody meant.
const decimal = /^[0-9]+(\.[0-9]+)?$/;

function parsed<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.string({ error: () => expected }).transform((text, context) => {
    const value = parse(text.trim());
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: expected });
    return z.NEVER;
  });
}

const number = (expected: string) => parsed(expected, (text) => (decimal.test(text) ? Number(text) : undefined));

const wholeNumber = (expected: string, smallest: number) =>
  parsed(expected, (text) => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(value) && value >= smallest ? value : undefined;
  });

const duration = parsed("a duration such as 500ms, 5s or 2m", (text) => {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m)$/.exec(text) ?? [];
  const unitMs = { ms: 1, s: 1_000, m: 60_000 }[unit ?? ""];
  const ms = unitMs && Number(amount) * unitMs;
  return ms !== undefined && ms < 2 ** 31 ? ms : undefined;
});

/** @param lowFactor what the low mark is, of the high one, where it is not given */
const waterMarks = (lowFactor: number) => {
  const order = lowFactor > 1 ? "LOW not below HIGH" : "LOW not above HIGH";
  return parsed(`HIGH, HIGH:LOW (numbers, ${order}) or off`, (text): WaterMarks | "off" | undefined => {
    if (text === "off") return "off";
    const [highText = "", lowText, ...more] = text.split(":");
    if (!decimal.test(highText) || (lowText !== undefined && !decimal.test(lowText)) || more.length > 0)
      return undefined;
    const high = Number(highText);
    const low = lowText === undefined ? high * lowFactor : Number(lowText);
    return (lowFactor > 1 ? low >= high : low <= high) ? { high, low } : undefined;
  }).transform((marks) => (marks === "off" ? undefined : marks));
};

const yesNo = parsed("true or false", (text) => ({ true: true, "1": true, false: false, "0": false, "": false })[text]);

function isAddress(text: string): boolean {
  const [, port] = /^(?:\[[0-9a-fA-F:]+\]|[^:\s,]+):([0-9]{1,5})$/.exec(text) ?? [];
  return port !== undefined && Number(port) < 65_536;
}

const file = parsed("the path of a file, or nothing", (text) => text);

const rawConfig = z.strictObject({
  name: parsed("1 to 64 letters, digits, '.', '_' or '-'", (text) => (/^[\w.-]{1,64}$/.test(text) ? text : undefined)),
  listen: parsed("host:port, for example 127.0.0.1:50061", (text) => (isAddress(text) ? text : undefined)),
  dir: parsed("the path of a directory", (text) => text || undefined),
  wipe: z.union([z.boolean(), yesNo], { error: () => "true or false" }),
  grace: duration,
  simulateWorkMsPerChar: number("a number of milliseconds, for example 0.5"),
  maxFileBytes: wholeNumber("a number of bytes, at least 1", 1),
  maxDocumentBytes: wholeNumber("a number of bytes, at least 1", 1),
  maxFilesInProgress: wholeNumber("a number of files, at least 1", 1),
  balancer: parsed("host:port of a balancer, several with commas between them, or nothing", (text) => {
    const addresses = text === "" ? [] : text.split(",").map((address) => address.trim());
    return addresses.every(isAddress) ? [...new Set(addresses)] : undefined;
  }),
  advertise: parsed("host:port as the balancer is configured, or nothing", (text) =>
    text === "" || isAddress(text) ? text : undefined,
  ),
  weight: parsed("a whole number from 1 to 256", (text) => {
    const value = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
    return value >= 1 && value <= 256 ? value : undefined;
  }),
  claim: parsed("none or failed", (text) => (text === "none" || text === "failed" ? text : undefined)),
  tlsCert: file,
  tlsKey: file,
  tlsClientCa: file,
  balancerCa: file,
  overloadMemoryPercent: waterMarks(0.8),
  overloadEventLoopMs: waterMarks(0.8),
  overloadFiles: waterMarks(0.8),
  overloadFreeDiskPercent: waterMarks(1.25),
  logLevel: parsed(`one of ${logLevels.join(", ")}`, (text) => (logLevels.includes(text) ? text : undefined)),
});

/** What holds where nothing is said; shown by `--help`. */
export const defaultOptions = {
  name: "storage-1",
  listen: "127.0.0.1:50061",
  dir: "data/json_files_1",
  wipe: false,
  grace: "5s",
  simulateWorkMsPerChar: "0",
  maxFileBytes: String(maxFileBytes),
  maxDocumentBytes: String(16 * 1024 * 1024),
  maxFilesInProgress: "8192",
  balancer: "",
  advertise: "",
  weight: "1",
  claim: "failed",
  tlsCert: "",
  tlsKey: "",
  tlsClientCa: "",
  balancerCa: "",
  overloadMemoryPercent: "10",
  overloadEventLoopMs: "250",
  overloadFiles: "4096",
  overloadFreeDiskPercent: "2",
  logLevel: "info",
} as const;

/**
 * Checks options and fills in what is missing.
 *
 * @param describe how the user calls an option, for the message: a flag, or an environment variable
 * @throws ConfigError for the first bad one
 */
export function resolveConfig(
  options: RawOptions,
  describe: (option: string) => string = (option) => option,
): StorageConfig {
  const raw: RawOptions = { ...defaultOptions, ...options };
  const result = rawConfig.safeParse(raw);
  if (!result.success) {
    const [issue] = result.error.issues;
    if (issue?.code === "unrecognized_keys") throw new ConfigError(`${issue.keys[0]}: there is no such option`);
    const name = String(issue?.path[0]);
    throw new ConfigError(`${describe(name)}: expected ${issue?.message}, got ${JSON.stringify(raw[name])}`);
  }
  const { grace, balancer, advertise, tlsCert, tlsKey, tlsClientCa, ...others } = result.data;
  const needs = (option: string, value: string, given: string, other: string) => {
    if (value === "" && other !== "")
      throw new ConfigError(`${describe(option)}: expected a file, because ${describe(given)} is given, got nothing`);
  };
  needs("tlsCert", tlsCert, "tlsKey", tlsKey);
  needs("tlsCert", tlsCert, "tlsClientCa", tlsClientCa);
  needs("tlsKey", tlsKey, "tlsCert", tlsCert);
  const { overloadMemoryPercent, overloadEventLoopMs, overloadFiles, overloadFreeDiskPercent, ...rest } = others;
  const overload = Object.freeze({
    memoryPercent: overloadMemoryPercent,
    eventLoopMs: overloadEventLoopMs,
    files: overloadFiles,
    freeDiskPercent: overloadFreeDiskPercent,
  });
  return Object.freeze({
    ...rest,
    graceMs: grace,
    balancers: Object.freeze(balancer),
    advertise: advertise || undefined,
    tls: Object.freeze({ cert: tlsCert, key: tlsKey, ca: tlsClientCa }),
    overload,
  });
}
