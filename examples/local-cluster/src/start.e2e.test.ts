import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runScript } from "./test-support/run-script.js";

const startScript = fileURLToPath(new URL("./start.js", import.meta.url));

describe("npm start", function () {
  this.timeout(60_000);

  it("says in one line which port is in use", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "bilancia-start-test-"));
    const holder = createServer();
    await new Promise<void>((resolve) => {
      // An error means that somebody else holds this port already, which serves as well.
      holder.once("error", () => resolve());
      holder.listen(50061, "127.0.0.1", resolve);
    });
    try {
      const { code, stderr } = await runScript(startScript, [], { cwd: folder });
      assert.equal(code, 1);
      assert.match(stderr, /^[^\n]*cannot listen on 127\.0\.0\.1:500\d\d: the port is in use[^\n]*\n$/);
    } finally {
      holder.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
