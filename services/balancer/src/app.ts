import { receiveWindows, serverOptions } from "@bilancia/proto/channel-options";
import { widenReceiveWindows } from "@bilancia/proto/flow-control";
import { AdminService as AdminDefinition } from "@bilancia/proto/gen/admin";
import { RegistryService as RegistryDefinition } from "@bilancia/proto/gen/registry";
import { listen, stopGracefully } from "@bilancia/proto/grpc-server";
import { HealthService } from "@bilancia/proto/health";
import { sendInPlace } from "@bilancia/proto/message-sending";
import { addReflection } from "@bilancia/proto/reflection";
import { balancerService } from "@bilancia/proto/services";
import { isFull } from "@bilancia/proto/system-error";
import type { Protection } from "@bilancia/proto/tls/credentials";
import { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { AdminService } from "./admin/admin-service.js";
import { openCertificates } from "./certificates.js";
import { auditFile, version } from "./config.js";
import { ConfigReload, type ConfigSource } from "./config-reload.js";
import type { Config } from "./config-schema.js";
import { Dispatcher } from "./dispatch/dispatcher.js";
import { Leases } from "./dispatch/leases.js";
import { Membership, membersOf } from "./dispatch/membership.js";
import { openMembership } from "./dispatch/membership-file.js";
import { NameWatch } from "./dispatch/name-watch.js";
import { PoolKeeper } from "./dispatch/pool-keeper.js";
import { RegistryService } from "./dispatch/registry-service.js";
import { type PoolLimits, ServerPool } from "./dispatch/server-pool.js";
import { systemResolver } from "./dispatch/system-resolver.js";
import type { QueueLimits } from "./domain/admission.js";
import { openedOnDisk } from "./full-disk.js";
import { UploadService } from "./intake/upload-service.js";
import { LiveSettings } from "./live-settings.js";
import { AuditLog } from "./observe/audit-log.js";
import { Counters } from "./observe/counters.js";
import { LogObserver } from "./observe/log-observer.js";
import { openPicks } from "./observe/picks.js";
import { WebServer } from "./observe/web-server.js";
import type { Clock } from "./ports/clock.js";
import type { Observer } from "./ports/observer.js";
import { memoryLedger } from "./queue/ledger.js";
import { Numbering } from "./queue/numbering.js";
import { openLedger } from "./queue/open-ledger.js";
import { openSpool } from "./queue/open-spool.js";
import { UploadQueue } from "./queue/upload-queue.js";

/** A running balancer. */
export interface Balancer {
  /** Where clients upload, with the real port. */
  readonly address: string;
  readonly adminAddress: string;
  /** Where the page and the metrics are; `undefined` for nowhere. */
  readonly webAddress: string | undefined;
  /** Whether who uploads has to use TLS, and to show a certificate. */
  readonly tls: Protection;
  /** Resolves when a flush to disk has failed: nothing is acknowledged any more, and only a new process can go on. */
  readonly broken: Promise<Error>;
  /** Reads the configuration anew; `by` says what wants it, for log and audit. Never rejects: what is wrong is told. */
  reload(by: string): Promise<void>;
  /** Stops in the order that loses nothing; files under way get the configured grace time. */
  stop(): Promise<void>;
}

/**
 * Puts the balancer together and starts it.
 *
 * @param source where `config` has come from: it is read again when its file changes, and on `reload`
 * @throws ListenError when a port cannot be had, Error when the state folder cannot be used as the settings want it
 */
export async function startBalancer(started: Config, source: ConfigSource, log: Logger): Promise<Balancer> {
  const settings = new LiveSettings(started);
  const config = settings.current;
  const clock: Clock = { nowMs: Date.now, random: Math.random };
  const logObserver = new LogObserver(log);
  const { limits, delivery, retention } = config;

  const certificates = openCertificates(config, log);
  const audit = await openAudit(config, clock, logObserver);
  const counters = new Counters();
  const observer = allOf(counters, logObserver, ...(audit ? [audit] : []));
  const { file, facts } = await openMembership(config.stateDir, config.servers, observer);
  let onBroken: (error: Error) => void = () => {};
  const broken = new Promise<Error>((resolve) => {
    onBroken = resolve;
  });
  const { maxMemoryBytes } = limits;
  const isEmbedded = config.queue === "embedded";
  const { spool, removedFiles: files } = await openSpool(config.stateDir, isEmbedded, { maxMemoryBytes }, (error) =>
    onBroken(error),
  );
  if (files > 0)
    log.warn({ files }, "spool files of an earlier run removed: the memory queue does not survive a restart");
  // Not before it is known that the spool can be used: each start takes numbers.
  const numbering = await Numbering.open(config.stateDir);
  const ledger = isEmbedded ? await openLedger(config.stateDir, observer, (error) => onBroken(error)) : undefined;

  const queue = new UploadQueue({
    numbering,
    spool,
    ledger: ledger ?? memoryLedger,
    limits: queueLimits(limits),
    clock,
    observer,
    retentionMs: retention.finishedMs,
    get unfinishedExpiryMs() {
      return retention.unfinishedMs;
    },
    get claimMs() {
      return delivery.claimMs;
    },
    maxFinishedInMemory: ledger ? 1_000 : 100_000,
  });
  await queue.recover();
  const pool = new ServerPool({
    servers: membersOf(facts),
    limits: poolLimits(limits),
    balancing: config.balancing,
    probe: config.probe,
    ejection: config.ejection,
    security: certificates.servers,
    clock,
    observer,
  });
  const picks = await openPicks(config.picks, observer);
  const dispatcher = new Dispatcher({
    outbox: queue,
    pool,
    ledger: numbering,
    retry: delivery,
    clock,
    observer,
    picks: picks.log,
  });
  const uploads = new UploadService(queue, queue, observer);
  const unsettled = (name: string) => dispatcher.unsettledOn(name);
  const membership = new Membership({ facts, pool, file, unsettled, clock, observer });
  const leases = new Leases({ settings: config.registration, pool, membership, unsettled, clock, observer });
  const names = new NameWatch({ resolver: systemResolver, membership, settings: config.dns, observer });
  const keeper = new PoolKeeper({ pool, membership, leases, unsettled, clock, observer });
  const registry = new RegistryService({
    ...{ pool, leases, observer },
    pending: queue.pending,
    uploads: queue,
    ledger: numbering,
  });
  const reloading = new ConfigReload({
    source,
    settings,
    useServers: (servers) => membership.useConfiguration(servers),
    onApplied: () => {
      log.level = config.log.level;
      pool.settingsChanged();
      void names.look();
    },
    clock,
    observer,
  });
  const told = {
    servers: keeper,
    uploads: queue,
    ledger: numbering,
    version,
    startedAtMs: clock.nowMs(),
    uploadStreams: () => uploads.streams,
  };
  const admin = new AdminService({
    ...told,
    deadLetters: queue.deadLetters,
    picks: picks.memory,
    observer,
    queue: config.queue,
    config: () => reloading.state,
  });
  let isServing = true;
  const web = new WebServer({
    figures: { ...told, counters, limits },
    clock,
    observer,
    isServing: () => isServing,
  });

  const health = new HealthService(["", "bilancia.v1.Balancer"]);
  const server = new Server(serverOptions);
  widenReceiveWindows(server, receiveWindows, balancerService.uploadFile.path);
  sendInPlace();
  server.addService(balancerService, uploads.handlers);
  server.addService(RegistryDefinition, registry.handlers);
  health.addToServer(server);
  addReflection(server, ["bilancia.v1.Balancer", "bilancia.v1.Registry"]);

  const adminServer = new Server(serverOptions);
  adminServer.addService(AdminDefinition, admin.handlers);
  health.addToServer(adminServer);
  addReflection(adminServer, ["bilancia.v1.Admin"]);

  /** Lets go of disk and servers; the attempts have ended. */
  const close = async () => {
    certificates.stop();
    pool.stop();
    await queue.stop();
    spool.close();
    await ledger?.close();
    await picks.close();
    await audit?.close();
    try {
      await numbering.close();
    } catch (error) {
      if (!isFull(error)) throw error;
      log.warn({ err: error }, "disk full: the numbers reserved are not given back, the next start skips them");
    }
  };

  queue.start();
  await names.start();
  await pool.start();
  leases.start();
  dispatcher.start();
  let address: string;
  let adminAddress: string;
  let webAddress: string | undefined;
  try {
    address = await listen(server, config.listen, certificates.clients);
    adminAddress = await listen(adminServer, config.admin.listen, certificates.admins);
    if (config.web.listen !== "") webAddress = await web.listen(config.web.listen);
    reloading.start();
    certificates.watch();
  } catch (error) {
    // The ports are asked for last, so that nobody is let in before all is ready; what has been started must not keep the process.
    server.forceShutdown();
    adminServer.forceShutdown();
    web.close();
    names.stop();
    leases.stop();
    await dispatcher.stop(0);
    await close();
    throw error;
  }

  return {
    address,
    adminAddress,
    webAddress,
    tls: certificates.protection,
    broken,
    reload: (by) => reloading.reload(by),
    async stop() {
      await reloading.stop();
      names.stop();
      leases.stop();
      membership.stop();
      const deadlineMs = performance.now() + config.graceMs;
      const leftMs = () => Math.max(0, deadlineMs - performance.now());
      isServing = false;
      health.setStatus("bilancia.v1.Balancer", "NOT_SERVING");
      health.setStatus("", "NOT_SERVING");
      uploads.drain();
      await emptied(queue, leftMs());
      await dispatcher.stop(leftMs());
      // Answers that are due still go out; a client that stays on after that is cut off.
      await stopGracefully(server, address, health, Math.max(500, leftMs()));
      await stopGracefully(adminServer, adminAddress, undefined, 500);
      web.close();
      await close();
      const { receivingFiles, queuedFiles, dispatchingFiles } = queue.counts();
      const left = { receivingFiles, queuedFiles, dispatchingFiles };
      log[queuedFiles + dispatchingFiles > 0 ? "warn" : "info"](left, "stopped");
    },
  };
}

/** The queue's limits, as the settings are at any time. */
function queueLimits(limits: Config["limits"]): QueueLimits {
  return {
    get maxFileBytes() {
      return limits.maxFileBytes;
    },
    get maxFiles() {
      return limits.maxQueuedFiles;
    },
    get maxBytes() {
      return limits.maxQueuedBytes;
    },
    get minFreeDiskBytes() {
      return limits.minFreeDiskBytes;
    },
  };
}

/** The limits of what is on its way to a server, as the settings are at any time. */
function poolLimits(limits: Config["limits"]): PoolLimits {
  return {
    get maxFiles() {
      return limits.maxInFlightFiles;
    },
    get maxBytes() {
      return limits.maxInFlightBytes;
    },
    get adaptive() {
      return limits.inFlight === "adaptive";
    },
  };
}

/** Opens the audit where the configuration wants it; `undefined` for none. */
async function openAudit(config: Config, clock: Clock, faults: Observer): Promise<AuditLog | undefined> {
  const file = auditFile(config);
  if (file === undefined) return undefined;
  const { maxFileBytes, rotate } = config.audit;
  const audit = AuditLog.open(file, clock, faults, { maxFileBytes, daily: rotate === "daily" });
  return openedOnDisk(`the audit file ${file}`, audit);
}

function allOf(...observers: readonly Observer[]): Observer {
  return {
    note(occurrence) {
      for (const observer of observers) observer.note(occurrence);
    },
  };
}

/** Waits until nobody sends and nothing complete is left to deliver, at most `timeoutMs`. */
async function emptied(queue: UploadQueue, timeoutMs: number): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (queue.busy && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 20));
}
