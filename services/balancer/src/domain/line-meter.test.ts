import assert from "node:assert/strict";
import fc from "fast-check";
import { LineMeter } from "./line-meter.js";

describe("the meter of a line", () => {
  it("finds the pace of a line that moves steadily, from its first second on (property)", () => {
    const steps = fc.record({
      everyMs: fc.integer({ min: 1, max: 50 }),
      amount: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 30 }), ({ everyMs, amount }, seconds) => {
        const meter = new LineMeter();
        meter.waits(1_000);
        let nowMs = 1_000;
        for (; nowMs < 1_000 + seconds * 1_000; ) {
          nowMs += everyMs;
          meter.took(nowMs, amount, true);
        }
        const untilMs = meter.untilGoneMs(nowMs, 100 * amount) ?? 0;
        assert.ok(Math.abs(untilMs / (100 * everyMs) - 1) < 0.1, String(untilMs));
      }),
    );
  });

  it("does not know before anything has left, nor needs to for nothing", () => {
    const meter = new LineMeter();
    assert.equal(meter.untilGoneMs(5, 10), undefined);
    meter.waits(10);
    assert.equal(meter.untilGoneMs(20, 10), undefined);
    assert.equal(meter.untilGoneMs(20, 0), 0);
  });

  it("does not count the time in which nobody waits", () => {
    const meter = new LineMeter();
    meter.waits(0);
    meter.took(10, 100, false);
    meter.waits(60_000);
    meter.took(60_010, 100, true);
    assert.ok(Math.abs((meter.untilGoneMs(60_010, 100) ?? 0) - 10) < 0.1);
  });

  it("expects more and more while the line stands still, and forgets that when it moves again", () => {
    const meter = new LineMeter();
    meter.waits(0);
    for (let nowMs = 10; nowMs <= 1_000; nowMs += 10) meter.took(nowMs, 100, true);
    const [soon, later] = [meter.untilGoneMs(3_000, 100) ?? 0, meter.untilGoneMs(9_000, 100) ?? 0];
    assert.ok(10 < soon && 2 * soon < later, `${soon} ${later}`);
    for (let nowMs = 9_010; nowMs <= 40_000; nowMs += 10) meter.took(nowMs, 100, true);
    assert.ok((meter.untilGoneMs(40_000, 100) ?? 0) < 11);
  });

  it("is not confused by a clock that is set back", () => {
    const meter = new LineMeter();
    meter.waits(10_000);
    meter.took(10_010, 100, true);
    meter.took(5_000, 100, true);
    meter.took(5_010, 100, true);
    assert.ok((meter.untilGoneMs(5_010, 100) ?? 0) < 10);
  });
});
