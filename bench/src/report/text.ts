import { figure, goalText } from "./figures.js";
import { allSpreads, type WorkloadResult } from "./results.js";

/** A result for the terminal. */
export function textReport(result: WorkloadResult): string {
  const { name, unit, rounds, ratioToBest, goals, notes } = result;
  const rows = allSpreads(result).map(([contender, { median, min, max }]) => {
    const figures = [median, min, max].map((value) => figure(value).padStart(10));
    return `  ${contender.padEnd(36)} median ${figures[0]}   min ${figures[1]}   max ${figures[2]}`;
  });
  return [
    `${name}, ${unit}, ${rounds} ${rounds === 1 ? "round" : "rounds"}`,
    ...rows,
    ...(ratioToBest === undefined ? [] : [`  ours to the best peer: ${figure(ratioToBest)}`]),
    ...goals.map((goal) => `  goal ${goalText(goal, unit)}`),
    ...notes.map((note) => `  note: ${note}`),
    "",
  ].join("\n");
}
