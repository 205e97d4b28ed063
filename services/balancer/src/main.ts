import { realpath } from "node:fs/promises";
import path from "node:path";
import { makeFolder } from "@bilancia/proto/folder";
import { lockFolder, takeLock } from "@bilancia/proto/folder-lock";
import { giveHeapRoom } from "@bilancia/proto/heap-room";
import { cannotUse } from "@bilancia/proto/system-error";
import { CommanderError } from "commander";
import { startBalancer } from "./app.js";
import { collectBuffersEarly } from "./buffer-collection.js";
import { auditFile, ConfigError, readConfig, readSources } from "./config.js";
import type { Config } from "./config-schema.js";
import { giveBackFreedBuffers } from "./freed-memory.js";
import { openedOnDisk } from "./full-disk.js";
import { createLogger } from "./observe/logger.js";

/** Exit codes: 0 stopped as asked, 1 could not start or failed, 2 the configuration cannot be used, 130 a second signal. */
async function main(): Promise<void> {
  giveHeapRoom();
  const { config, file, seen } = configOrExit();
  await giveBackFreedBuffers();
  collectBuffersEarly();
  await takeFiles(config);
  const log = createLogger(config.log);
  const read = () => readConfig(process.argv.slice(2), process.env);
  const starting = startBalancer(config, { file, seen, read }, log);
  const balancer = await openedOnDisk(`the state folder ${config.stateDir}`, starting);
  const { address, adminAddress, webAddress, tls } = balancer;
  log.info({ address, adminAddress, webAddress, tls, servers: config.servers.map(({ name }) => name) }, "listening");

  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(130);
    stopping = true;
    log.info({ signal, graceMs: config.graceMs }, "stopping");
    balancer.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal({ err: error }, "could not stop properly");
        process.exit(1);
      },
    );
  };
  void balancer.broken.then((error) => {
    log.fatal({ err: error.cause ?? error }, "a flush to disk failed, nothing is acknowledged any more");
    process.exit(1);
  });
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => void balancer.reload("SIGHUP"));
}

/**
 * Takes what this balancer alone may write, until it ends. To another one its state would look like damage, and be mended; the entries of two would
 * break the chain of an audit.
 */
async function takeFiles(config: Config): Promise<void> {
  const { stateDir } = config;
  await take(`the state folder ${stateDir}`, stateDir, () => lockFolder(stateDir));
  const file = auditFile(config);
  if (file === undefined) return;
  await take(`the audit file ${file}`, path.dirname(file), async () => takeLock(`${await realFile(file)}.lock`));
}

/** A file's own path, whatever links lead to it; it need not be there yet. */
async function realFile(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return file;
    throw error;
  }
}

async function take(what: string, folder: string, lock: () => Promise<unknown>): Promise<void> {
  try {
    await makeFolder(folder);
    await lock();
  } catch (error) {
    throw cannotUse(what, error);
  }
}

function configOrExit(): ReturnType<typeof readSources> {
  try {
    return readSources(process.argv.slice(2), process.env);
  } catch (error) {
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`bilancia-balancer: ${problem}\n`);
    process.exit(2);
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`bilancia-balancer: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
