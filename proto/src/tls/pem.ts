import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
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

/** What is shown to the other side. */
export interface Identity {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly validFrom: Date;
  readonly validUntil: Date;
}

/** The files of `CertificatePaths`, looked at. */
export interface Loaded {
  readonly identity: Identity | undefined;
  readonly ca: Buffer | undefined;
}

/** The bytes of a file, or what was in the way. */
export type Content = Buffer | Error;

/** What is in each file that is named. */
export type Contents = ReadonlyMap<string, Content>;

/**
 * Makes of the files' bytes what TLS needs, and looks whether it can be used.
 *
 * @param contents of each file that `paths` names
 * @throws CertificateError
 */
export function load(paths: CertificatePaths, names: CertificateNames, contents: Contents): Loaded {
  const { cert, key, ca } = paths;
  const missing = (name: string, expected: string) =>
    new CertificateError(`${name}: expected ${expected}; came nothing`);
  if (cert !== "" && key === "") throw missing(names.key, `the private key of ${names.cert}`);
  if (cert === "" && key !== "") throw missing(names.cert, `the certificate of ${names.key}`);
  const read = (file: string, name: string): Buffer => {
    const content = contents.get(file);
    if (Buffer.isBuffer(content)) return content;
    throw new CertificateError(`${name}: cannot read ${file}: ${describeError(content)}`, { cause: content });
  };
  return {
    identity: cert === "" ? undefined : identityIn(read(cert, names.cert), read(key, names.key), paths, names),
    ca: ca === "" ? undefined : authoritiesIn(read(ca, names.ca), ca, names.ca),
  };
}

function identityIn(
  certificate: Buffer,
  privateKey: Buffer,
  { cert, key }: CertificatePaths,
  names: CertificateNames,
): Identity {
  const [first] = certificatesIn(certificate, cert, names.cert);
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

function authoritiesIn(bytes: Buffer, file: string, name: string): Buffer {
  // One that has signed itself is its own authority, whatever it says.
  const isAuthority = ({ ca, issuer, subject }: X509Certificate) => ca || issuer === subject;
  if (!certificatesIn(bytes, file, name).some(isAuthority))
    throw unusable(name, file, "an authority's certificate", "none that may sign others");
  return bytes;
}

function certificatesIn(bytes: Buffer, file: string, name: string): [X509Certificate, ...X509Certificate[]] {
  const text = bytes.toString("latin1");
  const expected = "certificates in PEM (-----BEGIN CERTIFICATE-----)";
  const [first, ...others] = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (first === undefined) throw unusable(name, file, expected, bytes.length === 0 ? "an empty file" : "none");
  if (text.split("-----BEGIN CERTIFICATE-----").length - 1 !== others.length + 1)
    throw unusable(name, file, expected, "one that is cut off");
  try {
    return [new X509Certificate(first), ...others.map((other) => new X509Certificate(other))];
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

function unusable(name: string, file: string, expected: string, came: string, cause?: unknown): CertificateError {
  return new CertificateError(`${name}: expected ${expected} in ${file}; came ${came}`, { cause });
}
