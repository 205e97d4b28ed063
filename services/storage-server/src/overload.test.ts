import assert from "node:assert/strict";
import { OverloadCause } from "@bilancia/proto/gen/storage";
import fc from "fast-check";
import { type OverloadLimits, overloadCauses, type Readings } from "./overload.js";

const idle: Readings = { memoryPercent: 0, eventLoopMs: 0, files: 0, freeDiskPercent: 50 };
const limits: OverloadLimits = {
  memoryPercent: { high: 10, low: 8 },
  eventLoopMs: { high: 250, low: 200 },
  files: { high: 100, low: 80 },
  freeDiskPercent: { high: 2, low: 2.5 },
};

describe("overload", () => {
  it("is over from the high mark on, until the figure is back at the low one", () => {
    let causes: OverloadCause[] = [];
    const over = [99, 100, 90, 81, 80, 90, 99, 100].map((files) => {
      causes = overloadCauses(limits, causes, { ...idle, files });
      return causes.length > 0;
    });
    assert.deepEqual(over, [false, true, true, true, false, false, false, true]);
  });

  it("is over below the high mark of free disk, until the low one is reached", () => {
    let causes: OverloadCause[] = [];
    const over = [2, 1.9, 2, 2.4, 2.5, 2].map((freeDiskPercent) => {
      causes = overloadCauses(limits, causes, { ...idle, freeDiskPercent });
      return causes.length > 0;
    });
    assert.deepEqual(over, [false, true, true, true, false, false]);
  });

  it("names each cause", () => {
    assert.deepEqual(
      overloadCauses(limits, [], { memoryPercent: 11, eventLoopMs: 300, files: 200, freeDiskPercent: 1 }),
      [
        OverloadCause.OVERLOAD_CAUSE_MEMORY,
        OverloadCause.OVERLOAD_CAUSE_EVENT_LOOP_DELAY,
        OverloadCause.OVERLOAD_CAUSE_IN_FLIGHT_FILES,
        OverloadCause.OVERLOAD_CAUSE_FREE_DISK,
      ],
    );
  });

  it("takes an unknown figure and a limit that is off for harmless", () => {
    assert.deepEqual(overloadCauses(limits, [], { ...idle, freeDiskPercent: undefined }), []);
    assert.deepEqual(
      overloadCauses({}, [], { memoryPercent: 99, eventLoopMs: 1e6, files: 1e6, freeDiskPercent: 0 }),
      [],
    );
  });

  it("never changes while a figure stays between its marks", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.integer({ min: 81, max: 99 })), (wasOver, series) => {
        let causes = wasOver ? [OverloadCause.OVERLOAD_CAUSE_IN_FLIGHT_FILES] : [];
        for (const files of series) causes = overloadCauses(limits, causes, { ...idle, files });
        assert.equal(causes.length > 0, wasOver);
      }),
    );
  });
});
