import { figure } from "./figures.js";
import { allSpreads, oursName, type WorkloadResult } from "./results.js";

const widthPx = 860;
const labelPx = 250;
const barPx = 430;
const rowPx = 18;
const headPx = 26;
const gapPx = 14;

/** A chart of results as an SVG document: a bar for each contender's median, a line from its smallest to its largest round. Each workload has a scale of its own. */
export function chart(results: readonly WorkloadResult[]): string {
  let top = gapPx;
  const groups: string[] = [];
  for (const result of results) {
    const { text, heightPx } = group(result, top);
    groups.push(text);
    top += heightPx + gapPx;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${widthPx} ${top}" width="${widthPx}" height="${top}" role="img" aria-label="Benchmarks of Bilancia and its peers">
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.bar { fill: #9aa7b5 }
.ours { fill: #1f6f5c }
.spread { stroke: #24292f; stroke-width: 1 }
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${groups.join("\n")}
</svg>
`;
}

function group(result: WorkloadResult, topPx: number): { text: string; heightPx: number } {
  const { name, unit, better } = result;
  const entries = allSpreads(result);
  const largest = Math.max(...entries.map(([, { max }]) => max), Number.MIN_VALUE);
  const x = (value: number) => (labelPx + (Math.max(0, value) / largest) * barPx).toFixed(1);
  const rows = entries.map(([contender, { median, min, max }], index) => {
    const y = topPx + headPx + index * rowPx;
    const middle = y + rowPx / 2 - 1;
    const width = (Number(x(median)) - labelPx).toFixed(1);
    return [
      `<text x="${labelPx - 8}" y="${y + 12}" text-anchor="end">${escaped(contender)}</text>`,
      `<rect class="${contender === oursName ? "ours" : "bar"}" x="${labelPx}" y="${y}" width="${width}" height="${rowPx - 4}"/>`,
      `<line class="spread" x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>`,
      `<text x="${labelPx + barPx + 10}" y="${y + 12}">${figure(median)} (${figure(min)} – ${figure(max)})</text>`,
    ].join("");
  });
  const head = `<text class="head" x="10" y="${topPx + 14}">${escaped(name)}: ${escaped(unit)}, ${better} is better</text>`;
  return { text: [head, ...rows].join("\n"), heightPx: headPx + entries.length * rowPx };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);
}
