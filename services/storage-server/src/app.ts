import { setTimeout as delay } from "node:timers/promises";
import { receiveWindows, serverOptions } from "@bilancia/proto/channel-options";
import { widenReceiveWindows } from "@bilancia/proto/flow-control";
import { listen, stopGracefully } from "@bilancia/proto/grpc-server";
import { HealthService } from "@bilancia/proto/health";
import { packageVersion } from "@bilancia/proto/package-version";
import { addReflection } from "@bilancia/proto/reflection";
import { storageService } from "@bilancia/proto/services";
import { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { Announcer } from "./announcer.js";
import { openCertificates } from "./certificates.js";
import type { StorageConfig } from "./config.js";
import { type Disk, nodeDisk } from "./disk.js";
import { DocumentThread } from "./document-thread.js";
import { FileRegistry } from "./file-registry.js";
import { InFlight } from "./in-flight.js";
import { LoadMonitor } from "./load-monitor.js";
import { ByteBudget, Slots } from "./pressure.js";
import type { SaveDesk } from "./save-desk.js";
import { openStorageDirectory } from "./storage-directory.js";
import { StorageService } from "./storage-service.js";

const serviceName = "bilancia.v1.Storage";
const maxBufferedBytes = 64 * 1024 * 1024;
const maxWritesCount = 512;
const maxDocumentsCount = 4;
const maxFencesCount = 65_536;
/** What streams that are not ours (health watches) get to end, once everything else has, in milliseconds. */
const lastStreamsMs = 100;
/** What connections get to close, once their streams are cut, in milliseconds. */
const lastConnectionsMs = 500;
/** What files that are whole get to reach the disk, once the streams are cut, in milliseconds. */
const lastWritesMs = 1_500;

/** A storage server that serves. */
export interface StorageServer {
  /** `host:port`, with the real port. */
  readonly address: string;
  /** Resolves when a flush to disk has failed: nothing is acknowledged any more, and only a new process can go on. */
  readonly broken: Promise<Error>;
  /** Lets files in progress end within the grace time, then closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts a storage server: the composition root.
 *
 * @param disk the file system; tests hand in one that fails
 * @throws DirectoryError, ListenError, CertificateError
 */
export async function startStorageServer(
  config: StorageConfig,
  log: Logger,
  disk: Disk = nodeDisk,
): Promise<StorageServer> {
  const health = new HealthService(["", serviceName]);
  const setNotServing = () => {
    health.setStatus("", "NOT_SERVING");
    health.setStatus(serviceName, "NOT_SERVING");
  };
  let reportBroken: (error: Error) => void = () => {};
  const broken = new Promise<Error>((resolve) => {
    reportBroken = resolve;
  });
  const { name, dir, wipe, overload: limits } = config;
  const certificates = openCertificates(config, log);
  const onBroken = (error: Error) => {
    log.error({ err: error.cause ?? error }, "flush to disk failed, nothing is acknowledged any more");
    setNotServing();
    service.abort("the disk of this server failed");
    reportBroken(error);
  };
  const directory = await openStorageDirectory({ dir, wipe, disk, log, onBroken });
  const { store } = directory;
  const inFlight = new InFlight(config.maxFilesInProgress);
  const storedFilesCount = () => store.storedFilesCount;
  const version = packageVersion(import.meta.url);
  const monitor = new LoadMonitor({ serverName: name, version, dir, limits, inFlight, storedFilesCount, log });
  const desk: SaveDesk = {
    ...{ store, inFlight, log, limits: config },
    registry: new FileRegistry(maxFencesCount, (id) => store.ownerOf(id)),
    buffered: new ByteBudget(maxBufferedBytes),
    writes: new Slots(maxWritesCount),
    documents: new Slots(maxDocumentsCount),
    documentThread: new DocumentThread(),
    simulateWorkMsPerChar: config.simulateWorkMsPerChar,
  };
  const service = new StorageService(desk, monitor);
  const server = new Server(serverOptions);
  widenReceiveWindows(server, receiveWindows, storageService.save.path);
  server.addService(storageService, service.handlers());
  health.addToServer(server);
  addReflection(server, [serviceName]);
  let address: string;
  try {
    await monitor.start();
    address = await listen(server, config.listen, certificates.own);
  } catch (error) {
    monitor.stop();
    await directory.close();
    throw error;
  }
  certificates.watch();
  log.info({ address, server: name, dir, tls: certificates.protection }, "listening");
  const announcers = config.balancers.map((balancer) => {
    const { advertise = knownAddress(address), weight, claim } = config;
    const announced = { server: name, address: advertise, weight, claim, credentials: certificates.balancers };
    return new Announcer({ balancer, ...announced, load: () => monitor.report(), log });
  });
  for (const announcer of announcers) announcer.start();
  return {
    address,
    broken,
    async stop() {
      log.info({ inFlightFiles: inFlight.filesCount, graceMs: config.graceMs }, "stopping");
      for (const announcer of announcers) announcer.stop();
      setNotServing();
      const untilMs = Date.now() + config.graceMs;
      await within(config.graceMs, service.stop());
      // The balancer's streams are ended by now; where they are not, the grace time is over.
      const restMs = Math.min(lastStreamsMs, Math.max(0, untilMs - Date.now()));
      // grpc-js does not cut a connection that its client has begun to close; nothing is waiting for it any more.
      await within(restMs + lastConnectionsMs, stopGracefully(server, address, health, restMs));
      await within(lastWritesMs, inFlight.idle());
      monitor.stop();
      certificates.stop();
      await directory.close();
      log.info("stopped");
    },
  };
}

/** The address that a server listens on, as others may know it. Empty for all interfaces: nobody knows it by that. */
function knownAddress(listening: string): string {
  return /^(0\.0\.0\.0|\[[0:]+\]):/.test(listening) ? "" : listening;
}

/** Waits for something, but no longer than `limitMs`. */
async function within(limitMs: number, something: Promise<void>): Promise<void> {
  const timer = new AbortController();
  // The timer's only way to fail is to be aborted, when nobody waits for it any more.
  await Promise.race([something, delay(limitMs, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
}
