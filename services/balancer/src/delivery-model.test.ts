import fc from "fast-check";
import { agree, happenings } from "./test-support/delivery-model.js";
import { DeliverySystem } from "./test-support/delivery-system.js";
import { withTempFolder } from "./test-support/temp-folder.js";

/** More for a long run: `BILANCIA_MODEL_RUNS=20000`, and `BILANCIA_MODEL_SEED` to have a run again. */
const runsCount = Number(process.env.BILANCIA_MODEL_RUNS ?? 100);
const seed = process.env.BILANCIA_MODEL_SEED;

describe("queue and dispatch together", () => {
  it(`agree with a model of what clients were promised, in ${runsCount} lives (property)`, async function () {
    this.timeout(20_000 + runsCount * 2_000);
    const property = fc.asyncProperty(happenings(), (commands) =>
      withTempFolder(async (folder) => {
        const system = await DeliverySystem.start(folder);
        const model = { files: new Map() };
        try {
          await fc.asyncModelRun(() => ({ model, real: system }), commands);
          await agree(model, system);
        } finally {
          await system.stop();
        }
      }),
    );
    await fc.assert(property, { numRuns: runsCount, ...(seed === undefined ? {} : { seed: Number(seed) }) });
  });
});
