import assert from "node:assert/strict";
import { ConfigError, resolveConfig } from "./config.js";

describe("config", () => {
  it("has defaults", () => {
    const config = resolveConfig({});
    assert.equal(config.listen, "127.0.0.1:50061");
    assert.equal(config.graceMs, 5_000);
    assert.equal(config.wipe, false);
    assert.deepEqual([config.balancers, config.advertise, config.claim], [[], undefined, "failed"]);
    assert.equal(config.maxDocumentBytes, 16 * 1024 * 1024);
    assert.deepEqual(config.overload.files, { high: 4096, low: 4096 * 0.8 });
    assert.deepEqual(config.overload.freeDiskPercent, { high: 2, low: 2.5 });
    assert.ok(Object.isFrozen(config));
  });

  it("reads durations, marks and switches", () => {
    const config = resolveConfig({
      ...{ grace: "1.5s", overloadFiles: "10:4", overloadMemoryPercent: "off", overloadFreeDiskPercent: "5:7" },
      ...{ wipe: "true", simulateWorkMsPerChar: "0.25", listen: "[::1]:0" },
      ...{ balancer: "10.0.0.1:50051, [::1]:50051,10.0.0.1:50051", advertise: "storage-1:50061", claim: "none" },
    });
    assert.equal(config.graceMs, 1_500);
    assert.deepEqual(config.overload.files, { high: 10, low: 4 });
    assert.equal(config.overload.memoryPercent, undefined);
    assert.deepEqual(config.overload.freeDiskPercent, { high: 5, low: 7 });
    assert.equal(config.wipe, true);
    assert.equal(config.simulateWorkMsPerChar, 0.25);
    assert.deepEqual(config.balancers, ["10.0.0.1:50051", "[::1]:50051"]);
    assert.equal(config.advertise, "storage-1:50061");
    assert.equal(config.claim, "none");
  });

  it("wants a certificate with whatever else is said of TLS", () => {
    for (const [option, missing] of [
      ["tlsKey", "tlsCert"],
      ["tlsClientCa", "tlsCert"],
      ["tlsCert", "tlsKey"],
    ] as const)
      assert.throws(
        () => resolveConfig({ [option]: "x.pem" }, (name) => `--${name}`),
        new ConfigError(`--${missing}: expected a file, because --${option} is given, got nothing`),
      );
    const { tls, balancerCa } = resolveConfig({ tlsCert: "a", tlsKey: "b", tlsClientCa: "c", balancerCa: "d" });
    assert.deepEqual([tls, balancerCa], [{ cert: "a", key: "b", ca: "c" }, "d"]);
  });

  const bad: [option: string, value: string][] = [
    ["name", "a b"],
    ["listen", "50061"],
    ["listen", "host:70000"],
    ["dir", ""],
    ["wipe", "maybe"],
    ["grace", "5"],
    ["grace", "-1s"],
    ["simulateWorkMsPerChar", "fast"],
    ["maxFileBytes", "0"],
    ["maxFileBytes", "1e3"],
    ["maxFilesInProgress", ""],
    ["overloadFiles", "5:9"],
    ["overloadFiles", "1:2:3"],
    ["overloadFreeDiskPercent", "5:4"],
    ["balancer", "10.0.0.1"],
    ["balancer", "10.0.0.1:50051,"],
    ["balancer", "10.0.0.1:50051;10.0.0.2:50051"],
    ["advertise", "storage-1"],
    ["claim", "all"],
    ["logLevel", "loud"],
  ];
  for (const [option, value] of bad)
    it(`says that ${option} cannot be ${JSON.stringify(value)}`, () => {
      assert.throws(
        () => resolveConfig({ [option]: value }, (name) => `--${name}`),
        (error) =>
          error instanceof ConfigError &&
          error.message.startsWith(`--${option}: expected `) &&
          error.message.endsWith(`, got ${JSON.stringify(value)}`),
      );
    });

  it("knows no other options", () => {
    assert.throws(() => resolveConfig({ colour: "red" }), /colour: there is no such option/);
  });
});
