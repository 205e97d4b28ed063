import { parseArgs } from "node:util";

/** What to run, and where the results go. */
export interface BenchArguments {
  readonly quick: boolean;
  /** Names of workloads; empty for all. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly json: string | undefined;
  readonly docs: boolean;
  /** Measures nothing; takes the results from these files. */
  readonly render: readonly string[];
  readonly requirePeers: boolean;
  /** Where the temporary folder is made: the disk that is measured. */
  readonly dir: string;
  /** Folder for CPU profiles of balancer and storage servers; empty for none. */
  readonly profile: string | undefined;
  readonly help: boolean;
}

/** The command line cannot be used. The message is for people. */
export class UsageError extends Error {}

export const usage = `usage: npm run bench -- [options]

  --quick            smaller and shorter: minutes
  --only NAME,...    only these workloads
  --rounds N         rounds for each contender (default 5, with --quick 3)
  --json FILE        write the results as JSON
  --docs             write docs/benchmarks.md and docs/benchmarks.svg
  --render FILE,...  measure nothing, take results from JSON files
  --require-peers    fail when nginx, haproxy or nats-server is missing
  --dir DIR          the disk to use (default: here); its files are removed afterwards
  --profile DIR      write CPU profiles of balancer and storage servers
`;

/** @param known the names of the workloads @throws UsageError */
export function parseArguments(args: readonly string[], known: readonly string[]): BenchArguments {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const values = orUsageError(() => {
    const options = {
      ...{ quick: flag, only: text, rounds: text, json: text, docs: flag, render: text },
      ...{ "require-peers": flag, dir: text, profile: text, help: flag },
    };
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  });
  const only = list(values.only);
  const unknown = only.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--only: there is no workload "${unknown}"; expected some of ${known.join(", ")}`);
  const { quick, docs, help, json, profile, dir = "." } = values;
  const rounds = values.rounds ?? (quick ? "3" : "5");
  if (!/^[1-9][0-9]{0,2}$/.test(rounds))
    throw new UsageError(`--rounds: expected a number from 1 to 999, got "${rounds}"`);
  return {
    ...{ quick, only, docs, help, json, profile, dir },
    rounds: Number(rounds),
    render: list(values.render),
    requirePeers: values["require-peers"],
  };
}

function list(text: string | undefined): string[] {
  return (text ?? "").split(",").filter(Boolean);
}

function orUsageError<Value>(parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
