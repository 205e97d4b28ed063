import assert from "node:assert/strict";
import { DeliveryMeter } from "./delivery-meter.js";

describe("the delivery meter", () => {
  it("sums up bytes, bytes over time, and time overloaded, from one question to the next", () => {
    const meter = new DeliveryMeter(1_000);
    meter.changed(1_100, 50, false);
    meter.changed(1_300, 20, true);
    meter.stored(30);
    meter.changed(1_400, 0, false);
    meter.stored(20);
    assert.deepEqual(meter.take(2_000), {
      bytes: 50,
      byteMs: 200 * 50 + 100 * 20,
      overloadedMs: 100,
      elapsedMs: 1_000,
    });
    assert.deepEqual(meter.take(2_500), { bytes: 0, byteMs: 0, overloadedMs: 0, elapsedMs: 500 });
  });

  it("goes on with what is on its way when it is asked", () => {
    const meter = new DeliveryMeter(0);
    meter.changed(0, 10, true);
    assert.equal(meter.take(100).byteMs, 1_000);
    assert.deepEqual(meter.take(200), { bytes: 0, byteMs: 1_000, overloadedMs: 100, elapsedMs: 100 });
  });

  it("takes no harm from a clock that is set back", () => {
    const meter = new DeliveryMeter(1_000);
    meter.changed(1_000, 10, true);
    assert.deepEqual(meter.take(500), { bytes: 0, byteMs: 0, overloadedMs: 0, elapsedMs: 0 });
    assert.deepEqual(meter.take(600), { bytes: 0, byteMs: 1_000, overloadedMs: 100, elapsedMs: 100 });
  });
});
