import assert from "node:assert/strict";
import { type CliRun, runCli } from "../testing/run-cli.js";
import { tempFolder } from "../testing/temp-folder.js";

const server = (name: string, effectiveWeight: number) => ({
  ...{ server: name, state: "available", why: "", weight: effectiveWeight, effectiveWeight },
  ...{ inFlightFiles: 0, inFlightBytes: 0, maxFiles: 64, refused: false, compared: true },
});

/** 60 files, one each 10 ms, in turns on two servers, of which the second takes 18 ms for each. */
const lines = Array.from({ length: 60 }, (_, at) => {
  const name = at % 2 === 0 ? "a" : "b";
  const common = { requestNumber: String(at + 1), attempt: 1 };
  const atMs = 1_000 + at * 10;
  const pick = {
    ...{ kind: "pick", ...common, client: "c", sizeBytes: 100, arrivedMs: atMs, atMs, policy: "weighted_round_robin" },
    ...{ reason: "policy", server: name, maxBytes: 1e9, servers: [server("a", 1), server("b", 1)] },
  };
  const end = { kind: "end", ...common, outcome: "saved", sizeBytes: 100, atMs: atMs + (name === "a" ? 2 : 18) };
  return `${JSON.stringify(pick)}\n${JSON.stringify(end)}\n`;
}).join("");

describe("lb-cli simulate", () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  before(async () => {
    folder = await tempFolder({ "picks.jsonl": lines, "torn.jsonl": `${lines}{"kind":"pi`, "empty.jsonl": "" });
  });
  after(() => folder.remove());

  const run = (...args: string[]): Promise<CliRun> => runCli(["simulate", ...args], { cwd: folder.path });
  interface Side {
    readonly policy: string;
    readonly waitMs: { readonly p50: number; readonly p99: number };
    readonly servers: readonly { readonly files: number; readonly idleMs: number }[];
  }
  async function result(...args: string[]) {
    const { code, stdout, stderr } = await run("--json", ...args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as { recorded: Side; simulated: Side; leftOut: Record<string, number> };
  }

  it("finds the load as it was under the policy as it was", async () => {
    const { recorded, simulated } = await result("--trace", "picks.jsonl");
    assert.deepEqual(simulated.servers, recorded.servers);
    assert.deepEqual(recorded.waitMs, { p50: 2, p99: 18, max: 18 });
    assert.deepEqual(simulated.waitMs, recorded.waitMs);
    // From the first arrival at 1,000 to the last answer at 1,608.
    assert.deepEqual(
      recorded.servers.map(({ files, idleMs }) => [files, idleMs]),
      [
        [30, 608 - 60],
        [30, 608 - 540],
      ],
    );
  });

  it("replays it under other weights and policies, the same for the same seed", async () => {
    const { simulated } = await result("--trace", "picks.jsonl", "--weights", "a=5,b=1");
    assert.deepEqual(
      simulated.servers.map(({ files }) => files),
      [50, 10],
    );
    const draws = ["--trace", "picks.jsonl", "--policy", "least_load", "--seed", "3"];
    const [once, again] = [await result(...draws), await result(...draws)];
    assert.deepEqual(once, again);
    assert.equal(once.simulated.policy, "least_load");
  });

  it("shows both side by side", async () => {
    const { code, stdout, stderr } = await run(
      "--trace",
      "torn.jsonl",
      "--policy",
      "byte_weighted",
      "--weights",
      "b=2",
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^60 files, weighted_round_robin as recorded → byte_weighted, weights b=2\n/);
    assert.match(stdout, /\nserver +files +→ files +bytes +→ bytes +idle +→ idle\na +30 \(50\.0%\) +20 \(33\.3%\) /);
    assert.match(stdout, /\nuntil stored +p50 +p99 +longest +all of it\nrecorded +2 ms +18 ms +18 ms +608 ms\n/);
    assert.match(stdout, /\nleft out: 1 lines that cannot be read\n$/);
    assert.match(stderr, /warning: 1 line left out; the first: torn\.jsonl, line 121: expected a JSON object/);
  });

  const wrong: [string, string[], RegExp][] = [
    ["without a trace", [], /required option '--trace <file\.\.\.>' not specified/],
    ["for a trace that is not there", ["--trace", "none"], /--trace: cannot read none: no such file or folder/],
    ["for a folder", ["--trace", "."], /--trace: cannot read \.: it is a folder/],
    ["for a trace without files", ["--trace", "empty.jsonl"], /expected files that were stored; empty\.jsonl has none/],
    [
      "for a server that is not in it",
      ["--trace", "picks.jsonl", "--weights", "c=1"],
      /no server c in the trace; expected some of a, b/,
    ],
    [
      "for a weight that cannot be",
      ["--trace", "picks.jsonl", "--weights", "a=0"],
      /expected a whole number from 1 to 256; got '0'/,
    ],
    [
      "for weights that are none",
      ["--trace", "picks.jsonl", "--weights", "a"],
      /expected NAME=WEIGHT, for example a=5,b=1; got 'a'/,
    ],
    [
      "for a policy that nobody knows",
      ["--trace", "picks.jsonl", "--policy", "best"],
      /Allowed choices are weighted_round_robin/,
    ],
  ];
  for (const [title, args, message] of wrong)
    it(`says what is wrong ${title}`, async () => {
      const { code, stderr } = await run(...args);
      assert.equal(code, 2);
      assert.match(stderr, message);
    });
});
