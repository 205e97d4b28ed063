import assert from "node:assert/strict";
import { parseArguments, UsageError } from "./arguments.js";

const known = ["small", "latency"];

describe("the command line of the benchmarks", () => {
  it("measures everything in five rounds unless told otherwise", () => {
    const { quick, only, rounds, docs, requirePeers } = parseArguments([], known);
    assert.deepEqual(
      { quick, only, rounds, docs, requirePeers },
      { quick: false, only: [], rounds: 5, docs: false, requirePeers: false },
    );
    assert.equal(parseArguments(["--quick"], known).rounds, 3);
    assert.equal(parseArguments(["--quick", "--rounds", "7"], known).rounds, 7);
    assert.deepEqual(parseArguments(["--only", "small,latency"], known).only, known);
  });

  for (const [args, message] of [
    [["--only", "smal"], /--only: there is no workload "smal"; expected some of small, latency/],
    [["--rounds", "0"], /--rounds: expected a number from 1 to 999, got "0"/],
    [["--rounds", "many"], /got "many"/],
    [["--fast"], /--fast/],
    [["small"], /small/],
    [["--json"], /--json/],
  ] as const)
    it(`refuses ${args.join(" ")}`, () => {
      assert.throws(
        () => parseArguments(args, known),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });
});
