import assert from "node:assert/strict";
import { packageVersion } from "@bilancia/proto/package-version";
import { balancerScript, storageScript } from "./cluster.js";
import { lbCliScript } from "./lb-cli.js";
import { runScript } from "./test-support/run-script.js";

const version = packageVersion(import.meta.url);

describe("every program", () => {
  for (const [name, script] of [
    ["bilancia-balancer", balancerScript],
    ["bilancia-storage", storageScript],
    ["lb-cli", lbCliScript],
  ] as const)
    it(`shows its help with examples, and its version: ${name}`, async () => {
      const help = await runScript(script, ["--help"]);
      assert.deepEqual([help.code, help.stderr], [0, ""]);
      assert.match(help.stdout, new RegExp(`^Usage: ${name} [^]*\\nExamples:\\n {2}(\\$ )?${name} `));
      for (const flag of ["-V", "--version"])
        assert.deepEqual(await runScript(script, [flag]), { code: 0, stdout: `${version}\n`, stderr: "" });
    });
});
