import assert from "node:assert/strict";
import { ConfigError } from "./config.js";
import { ConfigReload } from "./config-reload.js";
import { type Config, configSchema } from "./config-schema.js";
import type { Occurrence } from "./domain/occurrence.js";
import { LiveSettings } from "./live-settings.js";

const config = (changes: object): Config =>
  configSchema.parse({ servers: [{ name: "a", address: "127.0.0.1:1" }], ...changes });

describe("a reload of the configuration", () => {
  let next: () => Config;
  let useServers: () => Promise<void>;
  let settings: LiveSettings;
  let applied: number;
  let occurrences: Occurrence[];
  let reload: ConfigReload;

  beforeEach(() => {
    next = () => config({ graceMs: 7, queue: "memory" });
    useServers = () => Promise.resolve();
    settings = new LiveSettings(config({}));
    applied = 0;
    occurrences = [];
    reload = new ConfigReload({
      source: { file: undefined, seen: "", read: () => next() },
      settings,
      useServers: () => useServers(),
      onApplied: () => (applied += 1),
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: (occurrence) => occurrences.push(occurrence) },
    });
  });

  it("puts in force what can be, and says what needs a restart", async () => {
    await reload.reload("SIGHUP");
    assert.equal(settings.current.graceMs, 7);
    assert.equal(settings.current.queue, "embedded");
    assert.equal(applied, 1);
    const needRestart = ['queue: "memory", before "embedded"'];
    assert.deepEqual(reload.state, { file: undefined, loadedAtMs: 1_000, needRestart, refused: undefined });
    assert.deepEqual(occurrences, [
      { kind: "config-reloaded", file: "none", by: "SIGHUP", changed: ["graceMs: 7, before 10000"], needRestart },
    ]);
  });

  for (const [what, harm] of [
    [
      "that cannot be used",
      () => {
        next = () => {
          throw new ConfigError(["graceMs: bad", "listen: bad"]);
        };
      },
    ],
    [
      "whose servers cannot be made durable",
      () => {
        useServers = () => Promise.reject(new ConfigError(["graceMs: bad", "listen: bad"]));
      },
    ],
  ] as const) {
    it(`leaves the one before in force for one ${what}, says so, and takes the next good one`, async () => {
      harm();
      await reload.reload("a changed file");
      assert.equal(settings.current.graceMs, 10_000);
      assert.equal(applied, 0);
      const problems = ["graceMs: bad", "listen: bad"];
      assert.deepEqual(reload.state.refused, { atMs: 1_000, problems });
      assert.deepEqual(occurrences, [{ kind: "config-refused", file: "none", by: "a changed file", problems }]);
      next = () => config({ graceMs: 8 });
      useServers = () => Promise.resolve();
      await reload.reload("SIGHUP");
      assert.equal(settings.current.graceMs, 8);
      assert.equal(reload.state.refused, undefined);
    });
  }

  it("comes after the one before it", async () => {
    const order: string[] = [];
    useServers = async () => {
      order.push("begin");
      await new Promise((resolve) => setTimeout(resolve, 5));
      order.push("end");
    };
    await Promise.all([reload.reload("one"), reload.reload("two")]);
    assert.deepEqual(order, ["begin", "end", "begin", "end"]);
  });
});
