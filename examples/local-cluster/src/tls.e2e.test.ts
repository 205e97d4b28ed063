import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect } from "node:tls";
import { TestAuthority, type TestCertificateOptions } from "@bilancia/proto/testing/test-certificates";
import { balancerScript, storageScript } from "./cluster.js";
import { lbCliScript } from "./lb-cli.js";
import { ManagedProcess, type ReadyLine } from "./managed-process.js";
import { eventually } from "./test-support/eventually.js";
import { jsonLines, runScript } from "./test-support/run-script.js";

/** As it is printed by `lb-cli servers --json`. */
interface ServerLine {
  readonly name: string;
  readonly state: string;
  readonly stateReason: string;
}

describe("a cluster in which everybody shows a certificate", function () {
  this.timeout(120_000);
  const authority = new TestAuthority();
  const processes: ManagedProcess[] = [];
  let folder: string;
  let balancer: ReadyLine;

  const file = (name: string) => path.join(folder, name);
  /** Writes `name.pem` and `name.key`, by renames, as whoever renews certificates should. */
  async function issue(name: string, options: Partial<TestCertificateOptions> = {}, from = authority) {
    const { cert, key } = from.issue({ name, ...options });
    for (const [suffix, text] of [
      ["pem", cert],
      ["key", key],
    ] as const) {
      await writeFile(file(`${name}.new`), text);
      await rename(file(`${name}.new`), file(`${name}.${suffix}`));
    }
  }
  async function start(name: string, script: string, ...args: string[]): Promise<ReadyLine> {
    const process_ = new ManagedProcess({ name, command: [process.execPath, script, ...args], logDir: file("logs") });
    processes.push(process_);
    return process_.ready(20_000);
  }
  const startServer = (name: string, ...args: string[]) =>
    start(name, storageScript, "--name", name, "--listen", "127.0.0.1:0", "--dir", file(name), ...args);
  const serverTls = (name: string) => [
    ...["--tls-cert", file(`${name}.pem`), "--tls-key", file(`${name}.key`), "--tls-client-ca", file("ca.pem")],
  ];
  const as = (name: string) => ["--ca", file("ca.pem"), "--cert", file(`${name}.pem`), "--key", file(`${name}.key`)];
  const lbCli = (...args: string[]) =>
    runScript(lbCliScript, ["--balancer", balancer.address, "--admin", balancer.adminAddress ?? "", ...args]);
  async function servers(): Promise<ServerLine[]> {
    const { code, stdout, stderr } = await lbCli(...as("operator"), "servers", "--json");
    assert.equal(code, 0, stderr);
    return jsonLines(stdout) as unknown as ServerLine[];
  }

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-tls-"));
    await mkdir(file("logs"));
    const operators = new TestAuthority("Operators");
    await writeFile(file("ca.pem"), authority.cert);
    await writeFile(file("operators.pem"), operators.cert);
    for (const name of ["balancer", "storage-1", "storage-2"]) await issue(name);
    // By its name, as where addresses are not in certificates.
    await issue("storage-1", { hosts: ["storage.internal"] });
    await issue("storage-2", { hosts: ["storage.internal", "127.0.0.1"] });
    await issue("client", { hosts: [] });
    await issue("operator", { hosts: [] }, operators);
    await issue("stranger", { hosts: [] }, new TestAuthority("Nobody"));
    const first = await startServer("storage-1", ...serverTls("storage-1"));
    const plain = await startServer("storage-3");
    const config = `
listen: 127.0.0.1:0
stateDir: ${file("balancer")}
admin: { listen: "127.0.0.1:0", clientCa: ${file("operators.pem")} }
web: { listen: "" }
log: { file: "" }
tls: { cert: ${file("balancer.pem")}, key: ${file("balancer.key")}, clientCa: ${file("ca.pem")} }
serverTls: { ca: ${file("ca.pem")}, cert: ${file("balancer.pem")}, key: ${file("balancer.key")}, name: storage.internal }
registration: { unknownServers: accept }
limits: { inFlight: fixed }
servers:
  - { name: storage-1, address: "${first.address}" }
  - { name: storage-3, address: "${plain.address}" }
`;
    await writeFile(file("bilancia.yaml"), config);
    balancer = await start("balancer", balancerScript, "--config", file("bilancia.yaml"));
    const announce = ["--balancer", balancer.address, "--balancer-ca", file("ca.pem")];
    await startServer("storage-2", ...serverTls("storage-2"), ...announce);
    await eventually(async () => {
      const states = new Map((await servers()).map(({ name, state }) => [name, state]));
      assert.equal(states.get("storage-1"), "available");
      assert.equal(states.get("storage-2"), "available");
    }, 30_000);
  });
  after(async function () {
    for (const process_ of processes.reverse()) await process_.stop(15_000);
    if (this.test?.parent?.tests.every(({ state }) => state === "passed")) await rm(folder, { recursive: true });
  });

  it("stores files, small and large ones, at the server that is configured and at the one that has joined", async () => {
    await mkdir(file("files"));
    const sizes = [...Array.from({ length: 20 }, (_, index) => index * 100), 3_000_000, 2_000_000];
    for (const [index, size] of sizes.entries())
      await writeFile(path.join(file("files"), `${index}.bin`), Buffer.alloc(size, index));
    const { code, stdout, stderr } = await lbCli(...as("client"), "upload", file("files"), "-r", "--json");
    assert.equal(code, 0, stderr);
    const lines = jsonLines(stdout);
    assert.equal(lines.length, sizes.length);
    assert.deepEqual([...new Set(lines.map(({ server }) => server))].sort(), ["storage-1", "storage-2"]);
    for (const { name, server, storedName } of lines) {
      const index = Number.parseInt(path.basename(name), 10);
      const stored = await readFile(path.join(file(server), storedName));
      assert.ok(stored.equals(Buffer.alloc(sizes[index] ?? -1, index)), name);
    }
  });

  it("says of a server that has no TLS what is wrong, and uses it for nothing", async () => {
    const plain = (await servers()).find(({ name }) => name === "storage-3");
    assert.match(plain?.stateReason ?? "", /does not speak TLS/);
  });

  it("lets in nobody without a certificate of its authorities, and says so", async () => {
    const upload = ["upload", file("bilancia.yaml")];
    const wants = /^error: .*(may want TLS|wants another certificate)/m;
    for (const [who, args] of [
      ["nobody", []],
      ["one who shows none", ["--ca", file("ca.pem")]],
      ["a stranger", as("stranger")],
      ["an operator, who is no client", as("operator")],
    ] as const) {
      const { code, stderr } = await lbCli("--connect-timeout", "1", ...args, ...upload);
      assert.equal(code, 3, `${who}: ${stderr}`);
      assert.match(stderr, wants, who);
    }
    const { code, stderr } = await lbCli("--connect-timeout", "1", ...as("client"), "servers");
    assert.equal(code, 3, stderr);
    assert.match(stderr, wants);
  });

  it("is not talked to by a client that does not know its authority", async () => {
    const { code, stderr } = await lbCli("--connect-timeout", "1", "--tls", "upload", file("bilancia.yaml"));
    assert.equal(code, 3, stderr);
    assert.match(stderr, /^error: .*certificate/m);
  });

  it("keeps the contract behind TLS", async () => {
    const { code, stdout, stderr } = await lbCli(
      ...as("client"),
      ...["conformance", "balancer", balancer.address, "--only", "health", "files", "query", "--level", "required"],
    );
    assert.equal(code, 0, stdout + stderr);
  });

  it("shows a renewed certificate to who connects from then on, without a restart", async () => {
    await issue("balancer", { until: new Date(Date.UTC(2099, 0, 1)) });
    await eventually(async () => assert.match(await shownUntil(balancer.address), / 2099 GMT$/), 20_000);
    const { code, stderr } = await lbCli(...as("client"), "upload", file("bilancia.yaml"));
    assert.equal(code, 0, stderr);
    const log = await readFile(path.join(file("logs"), "balancer.log"), "utf8");
    assert.match(log, /"validUntil":"2099-01-01T00:00:00.000Z","msg":"certificates read anew, for new connections"/);
  });

  /** Until when the certificate is valid that is shown at an address. */
  function shownUntil(address: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const [host = "", port = ""] = address.split(":");
      const socket = connect({ host, port: Number(port), ca: authority.cert, ALPNProtocols: ["h2"] });
      socket.once("secureConnect", () => {
        resolve(socket.getPeerCertificate().valid_to);
        socket.destroy();
      });
      socket.once("error", reject);
    });
  }
});
