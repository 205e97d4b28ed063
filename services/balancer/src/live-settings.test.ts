import assert from "node:assert/strict";
import { configSchema } from "./config-schema.js";
import { LiveSettings } from "./live-settings.js";
import { settings } from "./settings.js";

const base = { servers: [{ name: "a", address: "127.0.0.1:1" }] };
const config = (changes: object) => configSchema.parse({ ...base, ...changes });

describe("live settings", () => {
  it("put at once in force, in the very same objects, what can be", () => {
    const live = new LiveSettings(config({}));
    const { probe, balancing } = live.current;
    const next = config({ probe: { intervalMs: 5 }, balancing: { policy: "least_load" }, graceMs: 7 });
    assert.deepEqual(live.compare(next), {
      changed: [
        "graceMs: 7, before 10000",
        'balancing.policy: "least_load", before "weighted_round_robin"',
        "probe.intervalMs: 5, before 1000",
      ],
      needRestart: [],
    });
    live.apply(next);
    assert.equal(probe.intervalMs, 5);
    assert.equal(balancing.policy, "least_load");
    assert.equal(live.current.graceMs, 7);
    assert.deepEqual(live.compare(next), { changed: [], needRestart: [] });
  });

  it("say what needs a restart, and leave that as it is, until the file says the old thing again", () => {
    const live = new LiveSettings(config({}));
    const next = config({ listen: "127.0.0.1:9", audit: { rotate: "size" }, limits: { maxMemoryBytes: 2 ** 21 } });
    const needRestart = [
      'listen: "127.0.0.1:9", before "127.0.0.1:50051"',
      'audit.rotate: "size", before "daily"',
      "limits.maxMemoryBytes: 2097152, before 67108864",
    ];
    assert.deepEqual(live.compare(next), { changed: [], needRestart });
    live.apply(next);
    assert.equal(live.current.listen, "127.0.0.1:50051");
    assert.deepEqual(live.compare(next), { changed: [], needRestart });
    assert.deepEqual(live.compare(config({})), { changed: [], needRestart: [] });
  });

  it("name the servers as one setting, whose changes the pool tells", () => {
    const live = new LiveSettings(config({}));
    assert.deepEqual(live.compare(config({ servers: [{ name: "b", address: "127.0.0.1:2" }] })).changed, ["servers"]);
  });

  it("know every setting of the schema by its place", () => {
    const keys = settings.map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    for (const { key, valueIn } of settings) assert.notEqual(valueIn(config({})), undefined, key);
  });
});
