import assert from "node:assert/strict";
import { FakeStorage } from "../testing/fake-storage.js";
import type { Check } from "./check.js";
import type { Probe } from "./probe.js";
import { runChecks } from "./run-checks.js";
import { storageKit } from "./storage/catalogue.js";
import { NotImplemented, Violation } from "./violation.js";

describe("running checks", () => {
  it("fails what is broken, and what is required and left out; what is optional may be left out", async () => {
    const check = (level: Check<Probe>["level"], error: Error): Check<Probe> => ({
      name: `${level}.check`,
      level,
      rule: "",
      run: () => Promise.reject(error),
    });
    const checks = [
      check("optional", new NotImplemented("Some/Part")),
      check("required", new NotImplemented("Some/Part")),
      check("optional", new Violation("it is 1; expected 2")),
      check("optional", new Error("no connection")),
      { ...check("required", new Error("is not run")), needs: "queue-files" as const },
    ];
    const server = await FakeStorage.start();
    const options = { address: server.address, timeoutMs: 10_000, patienceMs: 10_000, seed: 1 };
    const reports: [string, string][] = [];
    try {
      for await (const { result, message } of runChecks(storageKit, checks, options)) reports.push([result, message]);
    } finally {
      server.stop();
    }
    assert.deepEqual(reports, [
      ["not implemented", "Some/Part"],
      ["fails", "Some/Part is not implemented"],
      ["fails", "it is 1; expected 2"],
      ["fails", "the check could not go on: no connection"],
      ["not tested", "give --queue-files"],
    ]);
  });
});
