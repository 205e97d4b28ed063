import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  Capability,
  Kind,
  type LoadResponse,
  OverloadCause,
  type WatchLoadResponse,
} from "@bilancia/proto/gen/storage";
import { ListenError } from "@bilancia/proto/grpc-server";
import { HealthClient } from "@bilancia/proto/health";
import type { StorageClient } from "@bilancia/proto/services";
import { eventually } from "@bilancia/proto/testing/eventually";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, makeGenericClientConstructor, status } from "@grpc/grpc-js";
import { DirectoryError } from "./storage-directory.js";
import { startTestServer, storedNames, tempNames, withFolder, withServer } from "./testing/test-server.js";
import { header, part, TestStream, wholeFile } from "./testing/test-stream.js";

function loadOf(client: StorageClient): Promise<LoadResponse> {
  return callUnary(client.load.bind(client), {}, 5_000);
}

describe("a storage server", () => {
  it("answers health checks, and is listed by reflection", () =>
    withServer({}, async ({ address }) => {
      const health = new HealthClient(address, credentials.createInsecure());
      for (const service of ["", "bilancia.v1.Storage"])
        assert.equal((await callUnary(health.check.bind(health), { service }, 5_000)).status, "SERVING");
      await assert.rejects(callUnary(health.check.bind(health), { service: "other" }, 5_000), {
        code: status.NOT_FOUND,
      });
      health.close();
      const listed = await listServices(address);
      for (const service of ["bilancia.v1.Storage", "grpc.health.v1.Health"])
        assert.ok(listed.includes(service), service);
    }));

  it("reports its load", () =>
    withServer({ name: "storage-7" }, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), "abc"), { header: header(2), offset: 0, data: Buffer.from("12345") });
      await stream.saved(1);
      await stream.accepted(2);
      const load = await loadOf(client);
      assert.equal(load.overloaded, false);
      assert.deepEqual([load.inFlightFiles, load.inFlightBytes, load.storedFiles], [1, 5n, 1n]);
      assert.deepEqual([load.serverName, load.version], ["storage-7", "0.1.0"]);
      assert.ok((load.memoryBytes ?? 0n) > 1_000_000n);
      assert.ok((load.freeDiskBytes ?? 0n) > 0n && (load.totalDiskBytes ?? 0n) >= (load.freeDiskBytes ?? 0n));
      assert.ok(load.cpuPercent !== undefined && load.eventLoopDelayMs !== undefined);
      assert.ok(load.memoryGrowthPercent !== undefined);
      assert.deepEqual(
        [...load.capabilities].sort(),
        [Capability.CAPABILITY_WATCH_LOAD, Capability.CAPABILITY_STAT, Capability.CAPABILITY_DISCARD].sort(),
      );
      assert.equal((await loadOf(client)).instanceId, load.instanceId);
      await stream.send(part(5, "", true));
      await stream.close();
    }));

  it("sets the overload bit at once, says why, pushes each change, and clears it at the low mark", () =>
    withServer({ overloadFiles: "2:0" }, async ({ client, logged }) => {
      const pushed: boolean[] = [];
      const watch = client.watchLoad({});
      watch.on("data", ({ load }: WatchLoadResponse) => load && pushed.push(load.overloaded));
      watch.on("error", () => {});
      await eventually("the first report", () => pushed.length === 1);
      const stream = new TestStream(client);
      const begin = (number: number) => ({ header: header(number), offset: 0, data: Buffer.from("x") });
      await stream.send(begin(1));
      await stream.accepted(1);
      const other = new TestStream(client);
      await other.send(begin(2));
      await other.accepted(2);
      assert.equal(other.overloaded, true);
      assert.deepEqual((await loadOf(client)).causes, [OverloadCause.OVERLOAD_CAUSE_IN_FLIGHT_FILES]);
      // Files on their way are taken all the same.
      await other.send(part(1, "", true));
      await other.saved(2);
      assert.equal((await loadOf(client)).overloaded, true);
      await stream.send(part(1, "", true));
      await stream.saved(1);
      await eventually("the last report", () => pushed.length === 3);
      assert.deepEqual(pushed, [false, true, false]);
      const changes = logged.filter(({ msg }) => String(msg).includes("overloaded"));
      assert.deepEqual(
        changes.map(({ msg, causes }) => [msg, causes]),
        [
          ["overloaded", ["in_flight_files"]],
          ["no longer overloaded", ["in_flight_files"]],
        ],
      );
      watch.cancel();
      await Promise.all([stream.close(), other.close()]);
    }));

  it("is overloaded when memory or free disk is over its limit, unless that is off", () =>
    withServer({ overloadMemoryPercent: "0:0", overloadFreeDiskPercent: "101:102" }, async ({ client }) => {
      await eventually("both causes", async () => (await loadOf(client)).causes.length === 2);
      assert.deepEqual((await loadOf(client)).causes, [
        OverloadCause.OVERLOAD_CAUSE_MEMORY,
        OverloadCause.OVERLOAD_CAUSE_FREE_DISK,
      ]);
    }));

  it("is overloaded while the event loop is blocked again and again", () =>
    withServer({ overloadEventLoopMs: "60:20" }, async ({ client, logged }) => {
      await eventually("the overload", () => {
        const untilMs = performance.now() + 150;
        while (performance.now() < untilMs);
        return logged.some(({ msg }) => msg === "overloaded");
      });
      await eventually("the end of the overload", async () => !(await loadOf(client)).overloaded);
    }));

  it("finishes files in progress when it stops, puts off new ones, and ends the stream", () =>
    withFolder(async (dir) => {
      const server = await startTestServer(dir, { grace: "20s", simulateWorkMsPerChar: "20" });
      const stream = new TestStream(server.client);
      const document = '{"title":"","content":"0123456789"}';
      await stream.send(wholeFile(header(1, { kind: Kind.KIND_TEXT_DOCUMENT }), document), {
        ...{ header: header(2), offset: 0, data: Buffer.from("a") },
      });
      await stream.accepted(2);
      const stopped = server.stop();
      await eventually("the stop", () => server.logged.some(({ msg }) => msg === "stopping"));
      await stream.send(part(1, "b", true), wholeFile(header(3), "x"));
      assert.equal((await stream.final(3)).$case, "busy");
      await stream.saved(2);
      await stream.saved(1);
      const { code, details } = await stream.ended;
      assert.deepEqual([code, details], [status.UNAVAILABLE, "the server is stopping"]);
      await stopped;
      assert.deepEqual(await storedNames(dir), ["1_a.bin", "2_a.bin"]);
    }));

  it("cuts off what is not whole once the grace time is over", () =>
    withFolder(async (dir) => {
      const server = await startTestServer(dir, { grace: "50ms" });
      const stream = new TestStream(server.client);
      await stream.send({ header: header(1), offset: 0, data: Buffer.from("a") });
      await stream.accepted(1);
      await server.stop();
      assert.notEqual((await stream.ended).code, status.OK);
      assert.deepEqual(await tempNames(dir), []);
      assert.deepEqual(
        server.logged.filter(({ level }) => Number(level) >= 50),
        [],
      );
    }));

  it("says which port is in use", () =>
    withFolder(async (dir) => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const address = other.address();
      assert.ok(address && typeof address === "object");
      const listen = `127.0.0.1:${address.port}`;
      await assert.rejects(
        startTestServer(dir, { listen }),
        (error) =>
          error instanceof ListenError &&
          error.message === `cannot listen on ${listen}: the port is in use by another process`,
      );
      other.close();
      // The directory is free again.
      await (await startTestServer(dir)).stop();
    }));

  it("says why it cannot use a directory", () =>
    withFolder(async (dir) => {
      const path = join(dir, "file");
      await writeFile(path, "");
      await assert.rejects(
        startTestServer(path),
        (error) => error instanceof DirectoryError && /not a directory/.test(error.message),
      );
      const server = await startTestServer(dir);
      await assert.rejects(
        startTestServer(dir),
        (error) => error instanceof DirectoryError && error.message.endsWith(`it is in use by process ${process.pid}`),
      );
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(1), "still works"));
      await stream.saved(1);
      await stream.close();
      await server.stop();
    }));

  it("wipes stored files and their records if asked to, and nothing else", () =>
    withFolder(async (dir) => {
      const first = await startTestServer(dir);
      const stream = new TestStream(first.client);
      await stream.send(wholeFile(header(1), "abc"), wholeFile(header(2), "abc"));
      await Promise.all([stream.saved(1), stream.saved(2)]);
      await stream.close();
      await first.stop();
      await mkdir(join(dir, "3_folder"));
      await writeFile(join(dir, "notes.txt"), "mine");
      await symlink("notes.txt", join(dir, "4_link"));
      const second = await startTestServer(dir, { wipe: true });
      assert.deepEqual(await storedNames(dir), ["3_folder", "4_link", "notes.txt"]);
      const entry = second.logged.find(({ msg }) => msg === "wiped stored files");
      assert.deepEqual(
        [entry?.removed, new Set(entry?.names as string[]), entry?.records],
        [2, new Set(["1_a.bin", "2_a.bin"]), 2],
      );
      assert.equal((await loadOf(second.client)).storedFiles, 0n);
      const again = new TestStream(second.client);
      await again.send(wholeFile(header(1), "abc"));
      assert.equal((await again.saved(1)).duplicate, false);
      await again.close();
      await second.stop();
    }));

  it("keeps stored files and sweeps temp files when it starts", () =>
    withFolder(async (dir) => {
      await mkdir(join(dir, ".bilancia", "tmp"), { recursive: true });
      await writeFile(join(dir, ".bilancia", "tmp", "1"), "left over");
      await writeFile(join(dir, "9_kept"), "kept");
      const server = await startTestServer(dir);
      assert.deepEqual(await tempNames(dir), []);
      assert.equal(await readFile(join(dir, "9_kept"), "utf8"), "kept");
      const entry = server.logged.find(({ msg }) => msg === "swept temp files");
      assert.deepEqual([entry?.removed, entry?.names], [1, ["1"]]);
      assert.equal((await loadOf(server.client)).storedFiles, 1n);
      await server.stop();
    }));
});

/** The answer of `ServerReflection.list_services`, as bytes: the names stand in it as they are. */
async function listServices(address: string): Promise<string> {
  const Reflection = makeGenericClientConstructor(
    {
      info: {
        path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ...{ requestStream: true, responseStream: true },
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    "ServerReflection",
  );
  const client = new Reflection(address, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => bytes,
  );
  // Field 7, `list_services`, an empty text.
  call.write(Buffer.from([0x3a, 0x00]));
  const answer = await new Promise<Buffer>((resolve, reject) => {
    call.on("data", resolve);
    call.on("error", reject);
  });
  call.end();
  client.close();
  return answer.toString("latin1");
}
