import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ConfigError, readConfig } from "./config.js";

const oneServer = ["--server", "name=storage-1,address=127.0.0.1:50061,weight=5"];

describe("readConfig", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "bilancia-config-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function file(text: string): string {
    const name = path.join(folder, "bilancia.yaml");
    writeFileSync(name, text);
    return name;
  }

  function problems(args: readonly string[], environment: Record<string, string> = {}): readonly string[] {
    try {
      readConfig(args, environment);
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error));
      return error.problems;
    }
    return assert.fail("expected a ConfigError");
  }

  it("has a default for everything but the servers, and is frozen", () => {
    const config = readConfig(oneServer, {});
    assert.equal(config.listen, "127.0.0.1:50051");
    assert.equal(config.admin.listen, "127.0.0.1:50052");
    assert.equal(config.queue, "embedded");
    assert.deepEqual(config.servers, [{ name: "storage-1", address: "127.0.0.1:50061", weight: 5 }]);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.limits));
  });

  it("lets flags win over the environment, the environment over the file, the file over the defaults", () => {
    const yaml = file("listen: 127.0.0.1:1\ngraceMs: 1\nlimits: { maxQueuedFiles: 1, maxQueuedBytes: 7 }\n");
    const environment = { BILANCIA_LISTEN: "127.0.0.1:2", BILANCIA_LIMITS__MAX_QUEUED_FILES: "2" };
    const config = readConfig(["--config", yaml, "--listen", "127.0.0.1:3", ...oneServer], environment);
    assert.equal(config.listen, "127.0.0.1:3");
    assert.equal(config.limits.maxQueuedFiles, 2);
    assert.equal(config.limits.maxQueuedBytes, 7);
    assert.equal(config.graceMs, 1);
  });

  it("takes servers from the file and from the environment", () => {
    const yaml = file(
      'servers:\n  - { name: a, address: "127.0.0.1:1" }\n  - { name: b, address: "127.0.0.1:2", weight: 3 }\n',
    );
    assert.deepEqual(
      readConfig(["-c", yaml], {}).servers.map(({ name, weight }) => [name, weight]),
      [
        ["a", 1],
        ["b", 3],
      ],
    );
    const BILANCIA_SERVERS = "name=c,address=127.0.0.1:3;name=d,address=127.0.0.1:4,weight=256";
    assert.deepEqual(
      readConfig([], { BILANCIA_SERVERS }).servers.map(({ name, weight }) => [name, weight]),
      [
        ["c", 1],
        ["d", 256],
      ],
    );
  });

  it("leaves the variables of the other programs alone", () => {
    readConfig(oneServer, { BILANCIA_BALANCER: "x", BILANCIA_ADMIN: "y", BILANCIA_STORAGE_DIR: "z", OTHER: "w" });
  });

  const bad: readonly (readonly [string, string, RegExp])[] = [
    ["an unknown key", "listten: 127.0.0.1:0", /^listten: unknown key; expected one of listen, /],
    ["an unknown inner key", "limits: { maxFile: 1 }", /^limits\.maxFile: unknown key; expected one of maxFileBytes, /],
    ["a bad address", "listen: nowhere", /^listen: expected host:port.*; came "nowhere"$/],
    ["a port over the range", "listen: 127.0.0.1:70000", /^listen: expected host:port.*; came "127\.0\.0\.1:70000"$/],
    ["a number out of bounds", "graceMs: -1", /^graceMs: expected a whole number from 0 to \d+; came -1$/],
    ["a text for a number", "graceMs: soon", /^graceMs: expected a whole number.*; came "soon"$/],
    ["a queue that does not exist", "queue: cloud", /^queue: expected embedded or memory; came "cloud"$/],
    [
      "a weight over the limit",
      'servers: [{ name: a, address: "127.0.0.1:1", weight: 300 }]',
      /^servers\.0\.weight: expected a whole number from 1 to 256; came 300$/,
    ],
    [
      "a name of servers without a port",
      'servers: [{ name: a, address: "dns:///storage.internal" }]',
      /^servers\.0\.address: expected host:port .*, or dns:\/\/\/name:port; came "dns:\/\/\/storage\.internal"$/,
    ],
    [
      "too long a name for many servers",
      `servers: [{ name: ${"a".repeat(25)}, address: "dns:///storage.internal:1" }]`,
      /^servers\.0\.name: expected a name of at most 24 characters for a dns:\/\/\/ address; came "a+"$/,
    ],
    [
      "two servers of one name",
      'servers: [{ name: a, address: "127.0.0.1:1" }, { name: a, address: "127.0.0.1:2" }]',
      /^servers\.1\.name: expected a name that no other server has; came "a"$/,
    ],
    [
      "no server",
      "graceMs: 1",
      /^servers: expected at least one server .*, or registration\.unknownServers: accept; came nothing$/,
    ],
    ["a number in place of a group", "limits: 5", /^limits: expected a group of settings; came 5$/],
    ["a server that is a text", "servers: [a]", /^servers\.0: expected a group of settings; came "a"$/],
    ["what contains itself", "limits: &a\n  maxFileBytes: *a", /bilancia\.yaml: a value in it contains itself/],
    ["an alias for nothing", "limits: *nope", /bilancia\.yaml: not valid YAML: Unresolved alias/],
    ["a number that JSON has not", "graceMs: .inf", /^graceMs: expected a whole number.*; came Infinity$/],
    ["a time that no timer holds", "graceMs: 2147483648", /^graceMs: expected a whole number from 0 to 2147483647/],
    ["what is no YAML", "listen: [", /not valid YAML/],
    [
      "a key without its certificate",
      "tls: { key: k }",
      /^tls\.cert: expected a file, because tls\.key is given; came nothing$/,
    ],
    [
      "a certificate without its key",
      "tls: { cert: c }",
      /^tls\.key: expected a file, because tls\.cert is given; came nothing$/,
    ],
    ["authorities of clients without TLS", "tls: { clientCa: a }", /^tls\.cert: .* because tls\.clientCa is given/],
    [
      "authorities of operators without TLS",
      "admin: { clientCa: a }",
      /^tls\.cert: .* because admin\.clientCa is given/,
    ],
    ["the servers' name without TLS", "serverTls: { name: n }", /^serverTls\.ca: .* because serverTls\.name is given/],
    [
      "a certificate for servers without TLS",
      "serverTls: { cert: c, key: k }",
      /^serverTls\.ca: .* because serverTls\.cert is given/,
    ],
    ["what is no mapping", "- a", /expected a mapping of settings; came a list/],
  ];
  for (const [what, yaml, expected] of bad) {
    it(`names the key for ${what}`, () => {
      const found = problems(["--config", file(yaml)]);
      assert.ok(
        found.some((problem) => expected.test(problem)),
        found.join("\n"),
      );
    });
  }

  it("says once of a number that it is far too large", () => {
    const found = problems(["--config", file("limits: { maxFileBytes: 99999999999999999999 }"), ...oneServer]);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(
      found.join(),
      /^limits\.maxFileBytes: expected a whole number from 1 to \d+; came 1\d{20}$|came 100000000000000000000$/,
    );
  });

  it("names the variable's key, and a file that is not there", () => {
    assert.match(problems(oneServer, { BILANCIA_GRACE_MS: "x" }).join("\n"), /^graceMs: .*; came "x"$/);
    assert.match(
      problems(["--config", path.join(folder, "none.yaml")]).join("\n"),
      /none\.yaml: there is no such file/,
    );
    assert.deepEqual(problems(["--config", folder]), [`${folder}: it cannot be read: it is a folder`]);
  });

  it("names the variable for servers that cannot be understood, and passes over what is empty between semicolons", () => {
    assert.deepEqual(problems([], { BILANCIA_SERVERS: "name=a,address=127.0.0.1:1; b" }), [
      'BILANCIA_SERVERS: expected name=N,address=HOST:PORT,weight=W; came "b"',
    ]);
    const { servers } = readConfig([], { BILANCIA_SERVERS: ";name=a,address=127.0.0.1:1; ;" });
    assert.deepEqual(
      servers.map(({ name }) => name),
      ["a"],
    );
  });
});
