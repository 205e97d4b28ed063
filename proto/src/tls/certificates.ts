import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { experimental } from "@grpc/grpc-js";
import { FileChanges, fingerprint } from "../file-changes.js";
import { describeError, errorCode } from "../system-error.js";
import {
  CertificateError,
  type CertificateNames,
  type CertificatePaths,
  type Content,
  type Contents,
  type Identity,
  type Loaded,
  load,
} from "./pem.js";

/** Where it is told what becomes of certificates while they are in use: a log of pino's. */
export type CertificateLog = Record<"info" | "warn" | "error", (facts: object, message: string) => void>;

type Provider = experimental.CertificateProvider;
type IdentityListener = Parameters<Provider["addIdentityCertificateListener"]>[0];
type CaListener = Parameters<Provider["addCaCertificateListener"]>[0];

const dayMs = 24 * 3_600_000;
/** A certificate is said to expire when less than this is left of its time: days, or a share of it where it has only a short one. */
const warnBeforeMs = 14 * dayMs;
const warnBeforeShare = 0.1;
/** How often it is looked at the dates. */
const lookMs = 60_000;

/**
 * Certificates in files, for one side of a connection. While they are watched they are read again when a file has changed; new connections use what was read last,
 * and those that are open stay. What cannot be used, because one of two files has not been replaced yet for example, is not taken, and neither is a certificate
 * whose time has not come or is over in place of one that is valid.
 */
export class Certificates implements Provider {
  readonly #paths: CertificatePaths;
  readonly #names: CertificateNames;
  #loaded: Loaded;
  /** What that was made of. */
  #taken: Contents;
  /** Of each file, as it was before it was read. */
  readonly #fingerprints: ReadonlyMap<string, string>;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();
  #changes: FileChanges[] = [];
  #timer: NodeJS.Timeout | undefined;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  /** What is wrong with the files as they are now; they are looked at again, for it may be a matter of time. */
  #problem: string | undefined;
  #reloading: Promise<void> = Promise.resolve();

  /** Reads them. @throws CertificateError */
  constructor(paths: CertificatePaths, names: CertificateNames) {
    this.#paths = paths;
    this.#names = names;
    const files = [paths.cert, paths.key, paths.ca].filter((file) => file !== "");
    this.#fingerprints = new Map(files.map((file) => [file, fingerprint(file)]));
    this.#taken = new Map(files.map((file) => [file, contentNow(file)]));
    this.#loaded = load(paths, names, this.#taken);
  }

  /** What is shown to the other side, as it is now. */
  get identity(): Identity | undefined {
    return this.#loaded.identity;
  }

  /** The authorities of the other side's certificates, as they are now. */
  get ca(): Buffer | undefined {
    return this.#loaded.ca;
  }

  /** Begins to look for changes; `stop` ends it. Nothing keeps the process. */
  watch(log: CertificateLog, times?: { lookMs: number; quietMs: number }): void {
    // One after the other, in the order in which the files were read.
    const reload = () => {
      this.#reloading = this.#reloading.then(() => this.#reload(log));
    };
    this.#changes = Array.from(this.#fingerprints, ([file, known]) => new FileChanges(file, known, reload, times));
    for (const changes of this.#changes) changes.start();
    this.#warn(log);
    this.#timer = setInterval(() => {
      this.#warn(log);
      if (this.#problem !== undefined) reload();
    }, lookMs).unref();
  }

  stop(): void {
    for (const changes of this.#changes) changes.stop();
    clearInterval(this.#timer);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => listener(this.#loaded.identity ?? null));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    process.nextTick(() => listener(this.#caUpdate()));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  async #reload(log: CertificateLog): Promise<void> {
    const contents = await this.#contents();
    // Files that are just being replaced are told as changed once that is over.
    if (!isSame(contents, await this.#contents())) return;
    let loaded: Loaded;
    try {
      loaded = load(this.#paths, this.#names, contents);
      const problem = timeProblem(loaded.identity);
      if (problem !== undefined && timeProblem(this.identity) === undefined)
        throw new CertificateError(`${this.#names.cert}: the certificate in ${this.#paths.cert} ${problem}`);
    } catch (error) {
      const reason = describeError(error);
      if (reason !== this.#problem)
        log.error({ reason }, "certificates have changed and cannot be used, those of before stay in use");
      this.#problem = reason;
      return;
    }
    this.#problem = undefined;
    // All files of one renewal are told as changed.
    if (isSame(contents, this.#taken)) return;
    this.#taken = contents;
    this.#loaded = loaded;
    for (const listener of this.#identityListeners) listener(loaded.identity ?? null);
    for (const listener of this.#caListeners) listener(this.#caUpdate());
    this.#warnedAtMs = Number.NEGATIVE_INFINITY;
    const files = [...contents.keys()];
    log.info({ files, validUntil: loaded.identity?.validUntil }, "certificates read anew, for new connections");
    this.#warn(log);
  }

  /** Not as at the start: a file system that does not answer must not hold up the files. */
  async #contents(): Promise<Contents> {
    const read = async (file: string) => [file, await readFile(file).catch((error: Error) => error)] as const;
    return new Map(await Promise.all(Array.from(this.#fingerprints.keys(), read)));
  }

  #caUpdate(): Parameters<CaListener>[0] {
    const { ca } = this.#loaded;
    return ca ? { caCertificate: ca } : null;
  }

  #warn(log: CertificateLog): void {
    if (!this.identity || Date.now() - this.#warnedAtMs < dayMs) return;
    const { validFrom, validUntil } = this.identity;
    const facts = { file: this.#paths.cert, validFrom, validUntil };
    const problem = timeProblem(this.identity);
    const warnBefore = Math.min(warnBeforeMs, (validUntil.getTime() - validFrom.getTime()) * warnBeforeShare);
    if (problem !== undefined) log.error(facts, `certificate ${problem}: nobody takes it`);
    else if (validUntil.getTime() - Date.now() <= warnBefore) log.warn(facts, "certificate expires soon");
    else return;
    this.#warnedAtMs = Date.now();
  }
}

/** Why a certificate is not valid at this moment, as the end of a sentence. */
function timeProblem(identity: Identity | undefined): string | undefined {
  if (!identity) return undefined;
  if (identity.validFrom.getTime() > Date.now()) return "is not valid yet";
  return identity.validUntil.getTime() <= Date.now() ? "is not valid any more" : undefined;
}

function isSame(some: Contents, others: Contents): boolean {
  return Array.from(some).every(([name, content]) => {
    const other = others.get(name);
    return Buffer.isBuffer(content) && Buffer.isBuffer(other)
      ? content.equals(other)
      : errorCode(content) === errorCode(other) && Buffer.isBuffer(content) === Buffer.isBuffer(other);
  });
}

function contentNow(file: string): Content {
  try {
    return readFileSync(file);
  } catch (error) {
    return error as Error;
  }
}
