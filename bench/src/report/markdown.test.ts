import assert from "node:assert/strict";
import { markdownReport } from "./markdown.js";
import { summarize } from "./results.js";

describe("the document", () => {
  const result = summarize(
    {
      name: "small-256",
      unit: "files/s",
      better: "higher",
      samples: { ours: [12_345], nginx: [1_000] },
      goals: [{ against: ["nginx"], atLeast: 20 }],
      notes: ["A note."],
    },
    true,
  );
  const run = { machine: { cores: "2" }, workloads: [result] };
  const text = markdownReport(run, { small: "Small files.", large: "Large files." }, "chart.svg");

  it("has a table for each workload under its family", () => {
    assert.match(
      text,
      /## small\n\nSmall files\.\n\n\*\*small-256\*\*, files\/s, higher is better, 1 rounds? \(quick\)/,
    );
    assert.ok(text.includes("| contender | median | min    | max    | ours to this |\n| --------- | ------"));
    assert.ok(text.includes("| ours      | 12,345 | 12,345 | 12,345 |              |\n"));
    assert.ok(text.includes("| nginx     | 1,000  | 1,000  | 1,000  | 12.3         |\n"));
  });

  it("leaves out families that were not measured", () => assert.ok(!text.includes("## large")));

  it("says how goals came out, and what to know", () => {
    assert.ok(text.includes("- Goal missed: 12.3x nginx (at least 20x)."));
    assert.ok(text.includes("- A note."));
    assert.ok(text.includes("![medians of all contenders](chart.svg)"));
  });
});
