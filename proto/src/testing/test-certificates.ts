import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is to say. */
export interface TestCertificateOptions {
  readonly name: string;
  /** Names and IP addresses that a server with it may have. Default: 127.0.0.1 and localhost. */
  readonly hosts?: readonly string[];
  /** Default: since a day ago, for 90 days. */
  readonly from?: Date;
  readonly until?: Date;
}

const dayMs = 24 * 3_600_000;

/** An authority for tests: makes certificates on the spot, so that no key lies about. Written out in DER (X.509 v3, ECDSA with P-256), since Node can read certificates and not make them. */
export class TestAuthority {
  readonly #name: string;
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  /** Its own certificate, in PEM. */
  readonly cert: string;

  constructor(name = "Test authority") {
    this.#name = name;
    this.cert = this.#certificate({ name }, this.#keys.publicKey, [
      extension([2, 5, 29, 19], true, sequence(tagged(0x01, Buffer.from([0xff])))),
    ]);
  }

  /** Makes a certificate for a server, a client, or both. */
  issue(options: TestCertificateOptions): TestCertificate {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const hosts = options.hosts ?? ["127.0.0.1", "localhost"];
    const names = hosts.map((host) =>
      isIP(host) === 4 ? tagged(0x87, Buffer.from(host.split(".").map(Number))) : tagged(0x82, Buffer.from(host)),
    );
    const alternatives = extension([2, 5, 29, 17], false, sequence(...names));
    return {
      cert: this.#certificate(options, publicKey, hosts.length > 0 ? [alternatives] : []),
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  }

  #certificate(options: TestCertificateOptions, publicKey: KeyObject, extensions: readonly Buffer[]): string {
    const now = Date.now();
    const { name, from = new Date(now - dayMs), until = new Date(now + 89 * dayMs) } = options;
    const key = publicKey.export({ type: "spki", format: "der" });
    const serial = createHash("sha256").update(key).digest().subarray(0, 16);
    // Positive, and of no more bytes than it needs.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
    const algorithm = sequence(identifier([1, 2, 840, 10045, 4, 3, 2]));
    const content = sequence(
      tagged(0xa0, tagged(0x02, Buffer.from([2]))),
      tagged(0x02, serial),
      algorithm,
      commonName(this.#name),
      sequence(time(from), time(until)),
      commonName(name),
      key,
      ...(extensions.length > 0 ? [tagged(0xa3, sequence(...extensions))] : []),
    );
    const signature = sign("sha256", content, this.#keys.privateKey);
    const whole = sequence(content, algorithm, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])));
    const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
    return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
  }
}

function extension(id: readonly number[], isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [tagged(0x01, Buffer.from([0xff]))] : [];
  return sequence(identifier(id), ...critical, tagged(0x04, value));
}

function commonName(name: string): Buffer {
  return sequence(tagged(0x31, sequence(identifier([2, 5, 4, 3]), tagged(0x0c, Buffer.from(name)))));
}

/** GeneralizedTime, whose form is `YYYYMMDDhhmmssZ`. */
function time(date: Date): Buffer {
  return tagged(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\..*/g, "")}Z`));
}

function identifier([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
