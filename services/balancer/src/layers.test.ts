import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const biome = path.join(root, "node_modules", ".bin", "biome");

/** Lints a text, under the project's own rules, as if it stood in a file of the project. */
function lint(file: string, text: string): string {
  const project = mkdtempSync(path.join(tmpdir(), "bilancia-layers-"));
  try {
    for (const name of ["biome.json", ".gitignore"]) cpSync(path.join(root, name), path.join(project, name));
    mkdirSync(path.join(project, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(project, file), text);
    const { stdout, stderr } = spawnSync(biome, ["lint", "--vcs-enabled=false", file], {
      cwd: project,
      encoding: "utf8",
    });
    return stdout + stderr;
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

const importing = (specifier: string) => `import { planted } from "${specifier}";\n\nplanted();\n`;

describe("the layers", function () {
  this.timeout(60_000);

  const forbidden: readonly (readonly [string, string, string])[] = [
    ["domain imports Node", "services/balancer/src/domain/planted.ts", importing("node:fs")],
    ["domain imports ports", "services/balancer/src/domain/planted.ts", importing("../ports/clock.js")],
    ["domain imports grpc", "services/balancer/src/domain/planted.ts", importing("@grpc/grpc-js")],
    ["domain reads the clock", "services/balancer/src/domain/planted.ts", "export const now = Date.now();\n"],
    ["ports imports a middle folder", "services/balancer/src/ports/planted.ts", importing("../queue/fifo.js")],
    ["intake imports queue", "services/balancer/src/intake/planted.ts", importing("../queue/fifo.js")],
    ["queue imports dispatch", "services/balancer/src/queue/planted.ts", importing("../dispatch/attempt.js")],
    ["a middle folder imports app", "services/balancer/src/observe/planted.ts", importing("../app.js")],
    ["the balancer imports cli", "services/balancer/src/dispatch/planted.ts", importing("@bilancia/cli/main")],
    [
      "the storage server imports the balancer",
      "services/storage-server/src/planted.ts",
      importing("@bilancia/balancer"),
    ],
    ["cli imports the balancer", "cli/src/planted.ts", importing("@bilancia/balancer")],
    ["cli imports a middle folder", "cli/src/planted.ts", importing("@bilancia/balancer/dist/queue/fifo.js")],
    [
      "the storage server imports domain",
      "services/storage-server/src/planted.ts",
      importing("@bilancia/balancer/dist/domain/pick.js"),
    ],
    ["proto imports a program", "proto/src/planted.ts", importing("@bilancia/cli")],
  ];
  for (const [what, file, text] of forbidden) {
    it(`hold: the linter objects when ${what}`, () => {
      assert.match(lint(file, text), /noRestricted(Imports|Globals)/);
    });
  }

  it("let through what they allow", () => {
    for (const [file, specifier] of [
      ["services/balancer/src/domain/planted.ts", "./upload.js"],
      ["services/balancer/src/intake/planted.ts", "../ports/clock.js"],
      ["services/balancer/src/queue/planted.ts", "../domain/upload.js"],
      ["services/balancer/src/dispatch/planted.ts", "@bilancia/proto/limits"],
      ["cli/src/planted.ts", "@bilancia/proto/limits"],
      ["cli/src/planted.ts", "@bilancia/balancer/dist/domain/pick.js"],
    ] as const) {
      const words = lint(file, importing(specifier));
      assert.match(words, /Checked 1 file/);
      assert.doesNotMatch(words, /noRestricted/);
    }
  });
});
