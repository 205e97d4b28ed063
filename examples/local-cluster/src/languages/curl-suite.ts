import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { storedFiles } from "../folder-listing.js";
import { eventually } from "../test-support/eventually.js";
import { runProgram, type ScriptResult } from "../test-support/run-script.js";
import { allPassed, TestCluster } from "../test-support/test-cluster.js";
import type { Call } from "./readme-calls.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const PATH = `${path.join(root, "node_modules", ".bin")}:${process.env.PATH}`;

/** A program that calls grpc services from a shell. */
export interface CurlTool {
  readonly name: string;
  /** Calls that must succeed, and the commands for them. */
  readonly calls: readonly { readonly command: string; readonly call: Call }[];
  commandOf(call: Call): string;
  /** Tests of its own. */
  more?(run: (command: string) => Promise<ScriptResult>): void;
}

const expectedRequests = [
  "list",
  "bilancia.v1.Balancer/UploadFile",
  "bilancia.v1.Balancer/QueryUpload",
  "bilancia.v1.Admin/ListServers",
  "bilancia.v1.Storage/Load",
  "grpc.health.v1.Health/Check",
];

/** What each wrong call is answered with, in words. */
const wrongCalls: readonly [request: string, data: string | undefined, port: number, words: RegExp][] = [
  ["bilancia.v1.Balancer/UploadFile", '{"parts":[{"data":"aGk=","finish":{}}]}', 50051, /data came before a header/],
  ["bilancia.v1.Balancer/UploadFile", '{"parts":[{"headr":{}}]}', 50051, /known field (named |")headr/],
  ["bilancia.v1.Balancer/QueryUpload", undefined, 50051, /expected an upload_id \(a UUID\) or a request_number/],
  ["bilancia.v1.Balancer/QueryUpload", '{"upload_id":"x"}', 50051, /expected .* \(a UUID\) .*; came uploadId \\?"x/],
  ["bilancia.v1.Registry/ListPending", '{"server":"x"}', 50051, /one of storage-1, storage-2, storage-3;.* came \\?"x/],
  ["bilancia.v1.Admin/DrainServer", '{"name":"x"}', 50052, /one of storage-1, storage-2, storage-3;.* came \\?"x/],
  ["bilancia.v1.Admin/ListServers", '{"limit":1}', 50052, /known field (named |")limit/],
  ["bilancia.v1.Admin/ListServers", undefined, 50051, /does not implement the method \/bilancia.v1.Admin\/ListServers/],
  ["bilancia.v1.Storage/Load", undefined, 50051, /does not implement the method \/bilancia.v1.Storage\/Load/],
  [
    "bilancia.v1.Storage/Stat",
    '{"origin":"x"}',
    50061,
    /origin is \\?"x\\?"; expected 32 lowercase hexadecimal digits/,
  ],
  ["grpc.health.v1.Health/Check", '{"service":"x"}', 50051, /no service is .*x/],
  ["bilancia.v1.Nothing/Do", undefined, 50051, /bilancia\.v1\.Nothing/],
];

/** Files whose rejection is an event on a stream that goes on, not its end. */
const wrongFiles: readonly [part: object, words: RegExp][] = [
  [{ header: { name: "../x" } }, /the name .* contains a path separator; expected a bare file name/],
  [{ header: { name: "x", kind: "KIND_TEXT_DOCUMENT" }, data: "aGk=" }, /expected a JSON object with the strings/],
  [{ header: { name: "x" }, data: "aGk=", crc32c: 7 }, /expected 0x00000007: they were damaged on the way/],
  [{ header: { name: "x", size_bytes: 3 }, data: "aGk=" }, /2 bytes came; expected 3/],
];

/** Makes every call with a tool, right and wrong, and looks at the answers. */
export function describeCurlTool(tool: CurlTool): void {
  describe(`the README's calls, with ${tool.name}`, function () {
    this.timeout(60_000);
    let test: TestCluster;

    before(async () => {
      test = await TestCluster.start({ weights: [3, 2, 1] });
    });
    after(async function () {
      await test?.finish(allPassed(this.test?.parent));
    });

    const run = (command: string) => {
      const { balancer } = test.cluster;
      const ours = command
        .replaceAll("127.0.0.1:50051", balancer.address)
        .replaceAll("127.0.0.1:50052", balancer.adminAddress)
        .replaceAll("127.0.0.1:50061", test.cluster.server("storage-1").address);
      return runProgram("bash", ["-c", ours], { cwd: root, env: { ...process.env, PATH } });
    };

    it("leave out nothing that a newcomer wants to try", () => {
      const requests = new Set(tool.calls.map(({ call }) => call.request));
      for (const request of expectedRequests) assert.ok(requests.has(request), request);
      const partCounts = tool.calls.map(({ call }) => JSON.parse(call.data ?? "{}").parts?.length ?? 0);
      assert.ok(partCounts.includes(1) && Math.max(...partCounts) > 1, "an upload of one document, and one of several");
    });

    for (const { command, call } of tool.calls) {
      it(command.split("\n", 1)[0] ?? "", async () => {
        const { code, stdout, stderr } = await run(command);
        assert.equal(code, 0, stderr);
        await check(call, stdout, test);
      });
    }

    for (const [request, data, port, words] of wrongCalls) {
      it(`tells what is wrong with ${request} ${data ?? "without a request"}`, async () => {
        const { code, stderr } = await run(tool.commandOf({ request, data, port }));
        assert.notEqual(code, 0);
        assert.match(stderr, words);
      });
    }

    for (const [part, words] of wrongFiles) {
      it(`tells what is wrong with ${JSON.stringify(part)}`, async () => {
        const data = JSON.stringify({ parts: [{ ...part, finish: {} }] });
        const { code, stdout, stderr } = await run(
          tool.commandOf({ request: "bilancia.v1.Balancer/UploadFile", data, port: 50051 }),
        );
        assert.equal(code, 0, stderr);
        assert.match(eventsOf(stdout).at(-1)?.rejected?.message ?? stdout, words);
      });
    }

    tool.more?.(run);
  });
}

interface UploadEvent {
  readonly queued?: object;
  readonly stored?: {
    readonly receipt: { readonly server: string; readonly name: string; readonly storedName: string };
  };
  readonly rejected?: { readonly message: string };
}

/** The messages of a stream are printed one after another. */
function eventsOf(stdout: string): UploadEvent[] {
  return stdout.split(/\n(?=\{)/).flatMap((text) => (JSON.parse(text) as { events: UploadEvent[] }).events);
}

async function check({ data = "{}", port, request }: Call, stdout: string, test: TestCluster): Promise<void> {
  switch (request) {
    case "list":
      assert.match(stdout, /^bilancia\.v1\.Balancer$/m);
      assert.match(stdout, /^grpc\.health\.v1\.Health$/m);
      return;
    case "describe bilancia.v1.Balancer":
      for (const method of ["UploadFile", "QueryUpload", "CancelUpload"]) assert.ok(stdout.includes(method), stdout);
      return;
    case "describe bilancia.v1.UploadPart":
      assert.match(stdout, /optional fixed32 crc32c = 4;/);
      return;
    case "bilancia.v1.Balancer/UploadFile":
      return checkUpload(data, stdout, test);
    case "bilancia.v1.Balancer/QueryUpload": {
      const { state, receipt } = JSON.parse(stdout);
      assert.equal(state, "UPLOAD_STATE_STORED");
      assert.equal(receipt.requestNumber, String(JSON.parse(data).request_number));
      return;
    }
    case "bilancia.v1.Admin/ListServers": {
      const { servers } = JSON.parse(stdout) as { servers: { name: string; weight: number; available: boolean }[] };
      assert.deepEqual(
        servers.map(({ name, weight, available }) => [name, weight, available]),
        test.cluster.servers.map(({ name, weight }) => [name, weight, true]),
      );
      return;
    }
    case "bilancia.v1.Registry/ListPending":
      assert.deepEqual(JSON.parse(stdout), {});
      return;
    case "bilancia.v1.Storage/Load":
      assert.equal(JSON.parse(stdout).serverName, "storage-1");
      return;
    case "grpc.health.v1.Health/Check":
      assert.deepEqual(JSON.parse(stdout), { status: "SERVING" });
      return;
    default:
      assert.fail(`the README has a call that this test knows nothing of: ${request} at ${port}`);
  }
}

/** Every file of a call is stored, and has been acknowledged as it was asked for. */
async function checkUpload(data: string, stdout: string, test: TestCluster): Promise<void> {
  const events = eventsOf(stdout);
  const parts = JSON.parse(data).parts as { header: { name: string; ack?: string }; data: string }[];
  assert.equal(events.filter(({ queued }) => queued).length, parts.filter(({ header }) => header.ack).length);
  await eventually(async () => {
    for (const part of parts) {
      const found = await Promise.all(test.cluster.servers.map(({ dir }) => storedFiles(dir)));
      const copies = found.flat().filter(({ name }) => name === part.header.name);
      assert.equal(copies.length, 1, part.header.name);
      assert.deepEqual(await readFile(copies[0]?.path ?? ""), Buffer.from(part.data, "base64"));
    }
  });
}
