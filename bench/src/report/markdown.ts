import { figure, goalText } from "./figures.js";
import { allSpreads, oursName, type RunResult, type WorkloadResult } from "./results.js";

/**
 * `docs/benchmarks.md`.
 *
 * @param about what each family of workloads does, by name
 * @param chartFile the chart beside the document
 */
export function markdownReport(run: RunResult, about: Readonly<Record<string, string>>, chartFile: string): string {
  const families = Object.entries(about).map(([family, words]) => {
    const results = run.workloads.filter(({ name }) => name === family || name.startsWith(`${family}-`));
    return results.length === 0 ? "" : [`## ${family}\n`, `${words}\n`, ...results.map(table)].join("\n");
  });
  return `<!-- Written by \`npm run bench -- --docs\`; changes by hand are lost. -->

# Benchmarks

\`\`\`
bench/setup.sh                                     # nginx, haproxy and nats-server, from Debian's packages
npm run bench                                      # everything: about two hours
npm run bench -- --quick --only small,latency      # a part, in minutes
npm run bench -- --json run.json --docs            # also writes the JSON, this page and its chart
\`\`\`

The peers stand in front of the same storage servers as the balancer, with the configurations in \`bench/peers/\`. One load engine sends to all of them, over the project's own codec and batch writer, with the same
windows: to the balancer with \`Balancer.UploadFile\`, to the peers with \`Storage.Save\`, which they pass on. Peers get the best ways they allow: one call per file, which they
balance per file, and many files per stream, where each stream stays with one server. All contenders take their turns in every round, in a random order, after a warm-up each. Every file's SHA-256 as
stored is compared with what was sent, and the servers' own counts with the acknowledgements; a run in which anything differs fails.

Ratios divide the median of ours by that of the best peer. Lines in the chart go from the smallest to the largest round.

![medians of all contenders](${chartFile})

The machine: ${Object.entries(run.machine)
    .map(([key, value]) => `${key} ${value}`)
    .join("; ")}. Client, balancer, peers and storage servers share it, so only ratios mean anything elsewhere.

${families.filter(Boolean).join("\n")}`;
}

function table(result: WorkloadResult): string {
  const { name, unit, better, rounds, quick, ours, goals, notes, ratioToBest } = result;
  const rows = allSpreads(result).map(([contender, { median, min, max }]) => [
    contender,
    ...[median, min, max].map(figure),
    contender === oursName ? "" : figure(ours.median / median),
  ]);
  const lines = [
    ...(ratioToBest === undefined ? [] : [`Ours to the best peer: ${figure(ratioToBest)}.`]),
    ...goals.map((goal) => `Goal ${goalText(goal, unit)}.`),
    ...notes,
  ];
  return `**${name}**, ${unit}, ${better} is better, ${rounds} ${rounds === 1 ? "round" : "rounds"}${quick ? " (quick)" : ""}

${aligned([["contender", "median", "min", "max", "ours to this"], ...rows])}
${lines.length === 0 ? "" : `\n${lines.map((line) => `- ${line}`).join("\n")}\n`}`;
}

/** A table whose first row is its head, as the formatter wants it. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [head, widths.map((width) => "-".repeat(width)), ...body].map(line).join("\n");
}
