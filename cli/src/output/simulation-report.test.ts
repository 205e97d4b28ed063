import assert from "node:assert/strict";
import type { LoadSummary } from "@bilancia/balancer/dist/domain/load-summary.js";
import { plainScreen } from "../testing/plain-screen.js";
import { comparisonTables } from "./simulation-report.js";
import { displayWidth } from "./table.js";

function summary(files: number): LoadSummary {
  const share = { files, fileShare: 0.5, bytes: 12_345_678, byteShare: 0.25, idleMs: 123_456, idleShare: 0.125 };
  return {
    spanMs: 1_234_567,
    waitMs: { p50: 123.4, p99: 45_678, max: 98_765 },
    servers: ["storage-1", "storage-2"].map((server) => ({ server, ...share })),
  };
}

describe("the tables of a simulation", () => {
  const tables = (columns?: number) =>
    comparisonTables({ recorded: summary(1_000), simulated: summary(1_234) }, plainScreen(columns)).split("\n");

  it("fit a narrow terminal: what was simulated stays longest", () => {
    assert.match(tables()[0] ?? "", /^server +files +→ files +bytes +→ bytes +idle +→ idle$/);
    for (const columns of [100, 80, 60, 40]) {
      const lines = tables(columns);
      assert.ok(Math.max(...lines.map(displayWidth)) <= columns, lines.join("\n"));
      assert.match(lines[0] ?? "", /^server .*→ files/);
      assert.ok(lines.some((line) => /^until stored +p50 +p99/.test(line)));
    }
    assert.match(tables(40)[0] ?? "", /^server +files +→ files$/);
  });
});
