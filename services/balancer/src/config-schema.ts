import { z } from "zod";
import { maxNamedLength, serverName } from "./domain/named-servers.js";
import { policyNames } from "./domain/policy.js";
import { type FieldRule, serverRules } from "./domain/server-entry.js";

/** Numbers may come as text, from flags and the environment. */
const number = z.preprocess(
  (value) => (typeof value === "string" && /^-?[0-9]+(\.[0-9]+)?$/.test(value.trim()) ? Number(value) : value),
  z.unknown(),
);

const whole = (from: number, to: number) => {
  const message = `expected a whole number from ${from} to ${to}`;
  return number.pipe(z.number(message).int(message).min(from, message).max(to, message));
};

const milliseconds = (from = 1) => whole(from, 30 * 24 * 3_600_000);
/** For what a timer of Node's waits, which holds no more and else is over at once. */
const timerMs = (from = 1) => whole(from, 2 ** 31 - 1);
const bytes = (from = 1) => whole(from, Number.MAX_SAFE_INTEGER);

const text = ({ expected, holds }: FieldRule<string>) => z.string(expected).refine(holds, expected);
const address = text(serverRules.address);

const addressOrNone = text({
  expected: `${serverRules.address.expected}, or an empty text`,
  holds: (value) => value === "" || serverRules.address.holds(value),
});

const serverAddress = text({
  expected: `${serverRules.address.expected}, or dns:///name:port`,
  holds: (value) => serverRules.address.holds(value) || serverName(value) !== undefined,
});

const server = z
  .strictObject({ name: text(serverRules.name), address: serverAddress, weight: whole(1, 256).default(1) })
  .refine(({ name, address }) => !serverName(address) || name.length <= maxNamedLength, {
    path: ["name"],
    error: `expected a name of at most ${maxNamedLength} characters for a dns:/// address`,
  });

const levelMessage = "expected trace, debug, info, warn, error or silent";

/** Marks a setting that is in force from the next start only. All others follow a changed configuration file at once. */
const afterRestart = { restart: true } as const;

/** A file of certificates or of a key. */
const pemFile = z.string("expected a file, or an empty text").default("");

/** Every setting, its default and its bounds. The README's table is made of the descriptions here. */
export const configSchema = z
  .strictObject({
    listen: address.default("127.0.0.1:50051").describe("Where clients upload.").meta(afterRestart),
    stateDir: z
      .string("expected a folder")
      .min(1, "expected a folder")
      .default("data/balancer")
      .describe("The balancer's state: numbering, ledger and spool.")
      .meta(afterRestart),
    queue: z
      .enum(["embedded", "memory"], "expected embedded or memory")
      .default("embedded")
      .describe("Which queue. `embedded` survives restarts and crashes; `memory` does not.")
      .meta(afterRestart),
    graceMs: timerMs(0).default(10_000).describe("Time for files under way when the balancer stops."),
    admin: z
      .strictObject({
        listen: address.default("127.0.0.1:50052").describe("Where the admin service answers.").meta(afterRestart),
        clientCa: pemFile
          .describe("The authorities (PEM) of its clients' certificates; empty for those of `tls.clientCa`.")
          .meta(afterRestart),
      })
      .prefault({}),
    web: z
      .strictObject({
        listen: addressOrNone
          .default("127.0.0.1:8080")
          .describe("Where the page and the metrics are, over HTTP; empty for nowhere.")
          .meta(afterRestart),
      })
      .prefault({}),
    tls: z
      .strictObject({
        cert: pemFile
          .describe("The balancer's certificate, and those up to its authority (PEM); empty for no TLS.")
          .meta(afterRestart),
        key: pemFile.describe("Its private key (PEM, without a passphrase).").meta(afterRestart),
        clientCa: pemFile
          .describe("The authorities (PEM) of its clients' certificates; empty for clients without one.")
          .meta(afterRestart),
      })
      .prefault({}),
    serverTls: z
      .strictObject({
        ca: pemFile
          .describe("The authorities (PEM) of the storage servers' certificates; empty for no TLS.")
          .meta(afterRestart),
        cert: pemFile
          .describe("The certificate (PEM) that is shown to the servers; empty for none.")
          .meta(afterRestart),
        key: pemFile.describe("Its private key (PEM, without a passphrase).").meta(afterRestart),
        name: z
          .string("expected a host name, or an empty text")
          .default("")
          .describe("The name that their certificates are for; empty for the host in each server's address.")
          .meta(afterRestart),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z
          .enum(["trace", "debug", "info", "warn", "error", "silent"], levelMessage)
          .default("info")
          .describe("The least important lines that are written."),
        file: z
          .string("expected a file, or an empty text")
          .default("loadbalancer.log")
          .describe("Log file; empty for none.")
          .meta(afterRestart),
      })
      .prefault({}),
    audit: z
      .strictObject({
        file: z
          .string("expected a file, an empty text, or off")
          .default("")
          .describe("Audit file; empty for `audit.jsonl` in `stateDir`, `off` for none.")
          .meta(afterRestart),
        maxFileBytes: bytes(64 * 1024)
          .default(256 * 1024 ** 2)
          .describe("Size from which the audit goes on in a new file.")
          .meta(afterRestart),
        rotate: z
          .enum(["daily", "size"], "expected daily or size")
          .default("daily")
          .describe("`daily`: the audit goes on in a new file each day (UTC) too; `size`: for its size only.")
          .meta(afterRestart),
      })
      .prefault({}),
    picks: z
      .strictObject({
        keep: whole(0, 1_000_000)
          .default(4_096)
          .describe("Choices of servers that are kept in memory for `lb-cli explain`; 0 for none.")
          .meta(afterRestart),
        file: z
          .string("expected a file, or an empty text")
          .default("")
          .describe("Where all choices are written, for `lb-cli simulate`; empty for nowhere.")
          .meta(afterRestart),
        maxFileBytes: bytes(64 * 1024)
          .default(256 * 1024 ** 2)
          .describe("Size from which that file begins anew; the one before is kept beside it as `.1`.")
          .meta(afterRestart),
      })
      .prefault({}),
    servers: z
      .array(server, "expected a list of servers, each with name, address and weight")
      .default([])
      .superRefine((servers, context) => {
        for (const key of ["name", "address"] as const) {
          for (const [index, { [key]: value }] of servers.entries()) {
            if (servers.findIndex((other) => other[key] === value) === index) continue;
            context.addIssue({
              code: "custom",
              path: [index, key],
              message: `expected ${key === "name" ? "a name" : "an address"} that no other server has`,
            });
          }
        }
      })
      .describe(
        "The storage servers: `name`, `address`, `weight` (1-256, default 1). Behind `dns:///name:port` there is one at each address of the name.",
      ),
    dns: z
      .strictObject({
        intervalMs: timerMs(100)
          .default(10_000)
          .describe("How often the names of servers (`dns:///`) are resolved again."),
      })
      .prefault({}),
    registration: z
      .strictObject({
        unknownServers: z
          .enum(["refuse", "accept"], "expected refuse or accept")
          .default("refuse")
          .describe(
            "Whether storage servers that are not configured may join by themselves, as long as they renew a lease.",
          ),
        leaseMs: whole(1_000, 24 * 3_600_000)
          .default(10_000)
          .describe("How long such a lease holds; it is renewed three times as often."),
        forgetMs: milliseconds()
          .default(3_600_000)
          .describe("How long a server whose lease has expired is still listed, once it is known which files it has."),
      })
      .prefault({}),
    balancing: z
      .strictObject({
        policy: z
          .enum(policyNames, `expected ${policyNames.join(", ")}`)
          .default("weighted_round_robin")
          .describe("How files find their servers: `weighted_round_robin`, `byte_weighted` or `least_load`."),
        weights: z
          .enum(["configured", "auto"], "expected configured or auto")
          .default("configured")
          .describe("Whether weights are as configured, or learned: from a quarter of that to four times as much."),
        slowStartMs: timerMs(0)
          .default(1_000)
          .describe("How long the weight of a server that joins or returns grows to the whole; 0 for not at all."),
        whenNoneAvailable: z
          .enum(["hold", "spill"], "expected hold or spill")
          .default("hold")
          .describe(
            "While no server is available, files wait (`hold`), or go to an overloaded or ejected one that has room (`spill`).",
          ),
      })
      .prefault({}),
    probe: z
      .strictObject({
        intervalMs: timerMs()
          .default(1_000)
          .describe("How often each server is asked how it is; four times as often while it is not healthy."),
        timeoutMs: timerMs().default(750).describe("How long it may take to answer."),
        fall: whole(1, 100)
          .default(2)
          .describe(
            "Answers in a row that do not come in time until a server is unhealthy. A lost connection counts at once.",
          ),
        rise: whole(1, 100).default(2).describe("Good answers in a row until it is healthy again."),
      })
      .prefault({}),
    ejection: z
      .strictObject({
        consecutiveFailures: whole(0, 10_000)
          .default(5)
          .describe("Failed attempts in a row for which a server that answers is left alone for a while; 0 for never."),
        errorPercent: whole(0, 100)
          .default(50)
          .describe("Share of failed attempts within the window for which it is; 0 for never."),
        errorMinFiles: whole(1, 1_000_000)
          .default(20)
          .describe("Attempts within the window below which the share says nothing."),
        falls: whole(0, 1_000)
          .default(3)
          .describe("Times within the window that it became unhealthy, for which it is; 0 for never."),
        windowMs: milliseconds().default(30_000).describe("The window."),
        baseMs: whole(1, 24 * 3_600_000)
          .default(5_000)
          .describe("How long it is left alone; twice as long each time, and less again with each window without."),
        maxMs: whole(1, 24 * 3_600_000)
          .default(300_000)
          .describe("How long at most."),
        maxPoolPercent: whole(0, 100)
          .default(50)
          .describe(
            "How much of the pool may be out at once, unhealthy, drained or left alone; beyond it nobody is left alone.",
          ),
      })
      .prefault({}),
    limits: z
      .strictObject({
        maxFileBytes: bytes()
          .default(1024 ** 4)
          .describe("Largest file."),
        maxQueuedFiles: whole(1, 10_000_000)
          .default(1_000_000)
          .describe("Files that are not stored yet; beyond it new ones are rejected."),
        maxQueuedBytes: bytes()
          .default(100 * 1024 ** 3)
          .describe("Bytes of these, and what those who are sending have announced."),
        minFreeDiskBytes: bytes(0)
          .default(256 * 1024 ** 2)
          .describe("What must stay free on the disk of `stateDir`; below it new files are rejected."),
        maxMemoryBytes: bytes(1024 * 1024)
          .default(64 * 1024 ** 2)
          .describe("Bytes of waiting files kept in memory; the rest is on disk.")
          .meta(afterRestart),
        inFlight: z
          .enum(["fixed", "adaptive"], "expected fixed or adaptive")
          .default("adaptive")
          .describe(
            "Whether as many files as below may be on their way to a server, or as many of them as it answers within 100 ms.",
          ),
        maxInFlightFiles: whole(1, 100_000).default(1_024).describe("Files on their way to one server at a time."),
        maxInFlightBytes: bytes(1024)
          .default(16 * 1024 ** 2)
          .describe("Bytes of these; a large file counts as 1 MiB."),
      })
      .prefault({}),
    delivery: z
      .strictObject({
        maxAttempts: whole(1, 1_000).default(10).describe("Attempts refused or lost before an upload is given up."),
        deadlineMs: milliseconds()
          .default(24 * 3_600_000)
          .describe("Time from the first byte until an upload is given up."),
        baseDelayMs: timerMs(0)
          .default(50)
          .describe("Upper bound of the first delay between attempts; it doubles each time."),
        maxDelayMs: timerMs(0).default(30_000).describe("Upper bound of every delay."),
        answerTimeoutMs: timerMs()
          .default(300_000)
          .describe(
            "How long a server may take to answer a file it has in full, or to take the next 256 KiB of a large one.",
          ),
        claimMs: timerMs().default(60_000).describe("How long an upload is kept for a server that has claimed it."),
      })
      .prefault({}),
    retention: z
      .strictObject({
        finishedMs: milliseconds()
          .default(7 * 24 * 3_600_000)
          .describe("How long finished uploads are remembered (with `queue: memory`, the last 100,000).")
          .meta(afterRestart),
        unfinishedMs: milliseconds()
          .default(24 * 3_600_000)
          .describe("How long an upload whose client left can be resumed."),
      })
      .prefault({}),
  })
  .superRefine(({ tls, admin, serverTls }, context) => {
    const needs = (path: string[], value: string, given: string, other: string) => {
      if (value === "" && other !== "")
        context.addIssue({ code: "custom", path, message: `expected a file, because ${given} is given` });
    };
    needs(["tls", "cert"], tls.cert, "tls.key", tls.key);
    needs(["tls", "key"], tls.key, "tls.cert", tls.cert);
    needs(["tls", "cert"], tls.cert, "tls.clientCa", tls.clientCa);
    needs(["tls", "cert"], tls.cert, "admin.clientCa", admin.clientCa);
    needs(["serverTls", "cert"], serverTls.cert, "serverTls.key", serverTls.key);
    needs(["serverTls", "key"], serverTls.key, "serverTls.cert", serverTls.cert);
    needs(["serverTls", "ca"], serverTls.ca, "serverTls.cert", serverTls.cert);
    needs(["serverTls", "ca"], serverTls.ca, "serverTls.name", serverTls.name);
  })
  .superRefine(({ servers, registration }, context) => {
    if (servers.length > 0 || registration.unknownServers === "accept") return;
    const expected =
      "expected at least one server (--server name=N,address=HOST:PORT,weight=W), or registration.unknownServers: accept";
    context.addIssue({ code: "custom", path: ["servers"], message: expected });
  });

/** The configuration, complete and checked. */
export type Config = z.output<typeof configSchema>;
