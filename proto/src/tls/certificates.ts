import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { experimental } from "@grpc/grpc-js";
import { FileChanges, fingerprint } from "../file-changes.js";
import { describeError } from "../system-error.js";

/** Files in PEM; an empty text for none. */
export interface CertificatePaths {
  /** The certificate that is shown to the other side, and those that lead from it to an authority that the other side knows. */
  readonly cert: string;
  /** Its private key, without a passphrase. */
  readonly key: string;
  /** The certificates of the authorities that the other side's certificate may be of. */
  readonly ca: string;
}

/** What these files are called where they are set, for messages: `tls.cert`, or `--tls-cert`. */
export type CertificateNames = CertificatePaths;

/** Certificates cannot be used. The message is for people: it says which setting, which file, and what is wrong with it. */
export class CertificateError extends Error {}

/** Where it is told what becomes of certificates while they are in use: a log of pino's. */
export type CertificateLog = Record<"info" | "warn" | "error", (facts: object, message: string) => void>;

interface Identity {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly validFrom: Date;
  readonly validUntil: Date;
}

interface Loaded {
  readonly identity: Identity | undefined;
  readonly ca: Buffer | undefined;
}

type Provider = experimental.CertificateProvider;
type IdentityListener = Parameters<Provider["addIdentityCertificateListener"]>[0];
type CaListener = Parameters<Provider["addCaCertificateListener"]>[0];

const dayMs = 24 * 3_600_000;
/** A certificate is said to expire when less than this is left of its time: days, or a share of it where it has only a short one. */
const warnBeforeMs = 14 * dayMs;
const warnBeforeShare = 0.1;
const expiryLookMs = 60_000;

/**
 * Certificates in files, for one side of a connection. While they are watched they are read again when a file has changed; new connections use what was read last,
 * and those that are open stay. A certificate and a key that do not belong together, because one of them has not been replaced yet, are not taken.
 */
export class Certificates implements Provider {
  readonly #paths: CertificatePaths;
  readonly #names: CertificateNames;
  #loaded: Loaded;
  /** Of each file, as it was before it was read. */
  readonly #fingerprints: ReadonlyMap<string, string>;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();
  #changes: FileChanges[] = [];
  #timer: NodeJS.Timeout | undefined;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  /** Reads them. @throws CertificateError */
  constructor(paths: CertificatePaths, names: CertificateNames) {
    this.#paths = paths;
    this.#names = names;
    const files = [paths.cert, paths.key, paths.ca].filter((file) => file !== "");
    this.#fingerprints = new Map(files.map((file) => [file, fingerprint(file)]));
    this.#loaded = load(paths, names);
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
    const reload = () => this.#reload(log);
    this.#changes = Array.from(this.#fingerprints, ([file, known]) => new FileChanges(file, known, reload, times));
    for (const changes of this.#changes) changes.start();
    this.#warn(log);
    this.#timer = setInterval(() => this.#warn(log), expiryLookMs).unref();
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

  #reload(log: CertificateLog): void {
    try {
      this.#loaded = load(this.#paths, this.#names);
    } catch (error) {
      log.error(
        { reason: (error as CertificateError).message },
        "certificates have changed and cannot be used, those of before stay in use",
      );
      return;
    }
    for (const listener of this.#identityListeners) listener(this.#loaded.identity ?? null);
    for (const listener of this.#caListeners) listener(this.#caUpdate());
    this.#warnedAtMs = Number.NEGATIVE_INFINITY;
    const files = [...this.#fingerprints.keys()];
    log.info({ files, validUntil: this.identity?.validUntil }, "certificates read anew, for new connections");
    this.#warn(log);
  }

  #caUpdate(): Parameters<CaListener>[0] {
    const { ca } = this.#loaded;
    return ca ? { caCertificate: ca } : null;
  }

  #warn(log: CertificateLog): void {
    if (!this.identity || Date.now() - this.#warnedAtMs < dayMs) return;
    const { validFrom, validUntil } = this.identity;
    const lifeMs = validUntil.getTime() - validFrom.getTime();
    if (validUntil.getTime() - Date.now() > Math.min(warnBeforeMs, lifeMs * warnBeforeShare)) return;
    this.#warnedAtMs = Date.now();
    const isOver = validUntil.getTime() <= Date.now();
    log[isOver ? "error" : "warn"](
      { file: this.#paths.cert, validUntil },
      isOver ? "certificate is not valid any more: nobody takes it" : "certificate expires soon",
    );
  }
}

function load(paths: CertificatePaths, names: CertificateNames): Loaded {
  const { cert, key, ca } = paths;
  if (cert !== "" && key === "")
    throw new CertificateError(`${names.key}: expected the private key of ${names.cert}; came nothing`);
  if (cert === "" && key !== "")
    throw new CertificateError(`${names.cert}: expected the certificate of ${names.key}; came nothing`);
  return {
    identity: cert === "" ? undefined : loadIdentity(paths, names),
    ca: ca === "" ? undefined : certificatesIn(ca, names.ca).bytes,
  };
}

function loadIdentity({ cert, key }: CertificatePaths, names: CertificateNames): Identity {
  const { bytes: certificate, first } = certificatesIn(cert, names.cert);
  const privateKey = read(key, names.key);
  if (!first.checkPrivateKey(privateKeyIn(privateKey, key, names.key)))
    throw new CertificateError(
      `${names.key}: expected the private key of ${names.cert} (${cert}); came another one (${key})`,
    );
  try {
    createSecureContext({ cert: certificate, key: privateKey });
  } catch (error) {
    throw unusable(names.cert, cert, "a certificate that can be used with its key", describeError(error), error);
  }
  return { certificate, privateKey, validFrom: new Date(first.validFrom), validUntil: new Date(first.validTo) };
}

/** All certificates of a file, and the first one. */
function certificatesIn(file: string, name: string): { bytes: Buffer; first: X509Certificate } {
  const bytes = read(file, name);
  const texts = bytes.toString("latin1").match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  const expected = "certificates in PEM (-----BEGIN CERTIFICATE-----)";
  if (!texts) throw unusable(name, file, expected, bytes.length === 0 ? "an empty file" : "none");
  try {
    const [first] = texts.map((text) => new X509Certificate(text));
    return { bytes, first: first as X509Certificate };
  } catch (error) {
    throw unusable(name, file, expected, "one that cannot be read", error);
  }
}

function privateKeyIn(bytes: Buffer, file: string, name: string): KeyObject {
  const expected = "a private key in PEM (-----BEGIN PRIVATE KEY-----), without a passphrase";
  try {
    return createPrivateKey(bytes);
  } catch (error) {
    const isLocked = /ENCRYPTED/.test(bytes.toString("latin1"));
    throw unusable(name, file, expected, isLocked ? "one with a passphrase" : "something else", error);
  }
}

function read(file: string, name: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CertificateError(`${name}: cannot read ${file}: ${describeError(error)}`, { cause: error });
  }
}

function unusable(name: string, file: string, expected: string, came: string, cause?: unknown): CertificateError {
  return new CertificateError(`${name}: expected ${expected} in ${file}; came ${came}`, { cause });
}
