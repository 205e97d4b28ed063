import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageClient } from "@bilancia/proto/services";
import { credentials } from "@grpc/grpc-js";
import { pino } from "pino";
import { startStorageServer } from "../app.js";
import { type RawOptions, resolveConfig } from "../config.js";
import type { Disk } from "../disk.js";

/** A server in this process, with a client. */
export interface TestServer {
  readonly address: string;
  readonly client: StorageClient;
  readonly broken: Promise<Error>;
  /** Log lines so far. */
  readonly logged: Record<string, unknown>[];
  stop(): Promise<void>;
}

const quiet = {
  overloadMemoryPercent: "off",
  overloadEventLoopMs: "off",
  overloadFreeDiskPercent: "off",
  listen: "127.0.0.1:0",
};

/** Starts a server on a free port. Only the limits on load that a test names are on. */
export async function startTestServer(dir: string, options: RawOptions = {}, disk?: Disk): Promise<TestServer> {
  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const server = await startStorageServer(resolveConfig({ ...quiet, dir, ...options }), log, disk);
  const client = new StorageClient(server.address, credentials.createInsecure());
  const { address, broken } = server;
  const stop = async () => {
    await server.stop();
    client.close();
  };
  return { address, client, broken, logged, stop };
}

/** Runs a test with a folder of its own. */
export async function withFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "bilancia-storage-"));
  try {
    await test(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Runs a test against a server with a folder of its own. */
export async function withServer(
  options: RawOptions,
  test: (server: TestServer, dir: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    const server = await startTestServer(dir, options);
    try {
      await test(server, dir);
    } finally {
      await server.stop();
    }
  });
}

/** Names of the stored files. */
export async function storedNames(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => name !== ".bilancia").sort();
}

/** Names of the temp files. */
export function tempNames(dir: string): Promise<string[]> {
  return readdir(join(dir, ".bilancia", "tmp"));
}
