import assert from "node:assert/strict";
import { chart } from "./chart.js";
import { summarize } from "./results.js";

const result = summarize(
  { name: "a<b>&", unit: "files/s", better: "higher", samples: { ours: [100, 120, 80], nginx: [30, 60, 45] } },
  false,
);

describe("the chart", () => {
  const svg = chart([result, { ...result, name: "second" }]);

  it("draws a bar for each contender, as long as its median", () => {
    const widths = [...svg.matchAll(/<rect class="(ours|bar)"[^>]*width="([\d.]+)"/g)].map(([, kind, width]) => [
      kind,
      Number(width),
    ]);
    assert.equal(widths.length, 4);
    const [[, ours = 0] = [], [, peer = 0] = []] = widths;
    // Each figure is rounded to a tenth of a pixel.
    assert.ok(Math.abs(Number(ours) / Number(peer) - 100 / 45) < 0.01);
  });

  it("draws the spread of each", () => {
    const lines = [...svg.matchAll(/<line class="spread" x1="([\d.]+)" x2="([\d.]+)"/g)];
    assert.equal(lines.length, 4);
    for (const [, from, to] of lines) assert.ok(Number(from) < Number(to));
  });

  it("is well-formed whatever the names are", () => {
    assert.ok(svg.includes("a&#60;b&#62;&#38;"));
    assert.equal(svg.match(/<text/g)?.length, svg.match(/<\/text>/g)?.length);
    assert.ok(svg.endsWith("</svg>\n"));
  });

  it("keeps everything inside", () => {
    const [, width] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
    for (const [, x] of svg.matchAll(/ x2?="([\d.]+)"/g)) assert.ok(Number(x) <= Number(width));
  });
});
