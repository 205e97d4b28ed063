import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ChannelCredentials, Server, type ServiceError, status } from "@grpc/grpc-js";
import { connectionWords } from "../connection-words.js";
import { listen } from "../grpc-server.js";
import { HealthClient, HealthService } from "../health.js";
import { eventually } from "../testing/eventually.js";
import { TestAuthority, type TestCertificate } from "../testing/test-certificates.js";
import { callUnary } from "../unary.js";
import { type CertificateLog, Certificates } from "./certificates.js";
import { channelCredentials, serverCredentials } from "./credentials.js";

const names = { cert: "tls.cert", key: "tls.key", ca: "tls.clientCa" };
const times = { lookMs: 20, quietMs: 100 };

describe("certificates", () => {
  let folder: string;
  let authority: TestAuthority;
  const file = (name: string) => path.join(folder, name);
  const closing: (() => void)[] = [];

  before(() => {
    authority = new TestAuthority();
  });
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "bilancia-tls-"));
    write(authority.issue({ name: "server" }));
    writeFileSync(file("ca.pem"), authority.cert);
    writeFileSync(file("other-ca.pem"), new TestAuthority("Another authority").cert);
    write(authority.issue({ name: "client", hosts: [] }), "client-");
    write(new TestAuthority("A third one").issue({ name: "stranger", hosts: [] }), "stranger-");
  });
  afterEach(() => {
    for (const close of closing.splice(0)) close();
    rmSync(folder, { recursive: true });
  });

  function write({ cert, key }: TestCertificate, prefix = "") {
    // By renames, as whoever renews them should do.
    for (const [name, text] of [
      [`${prefix}cert.pem`, cert],
      [`${prefix}key.pem`, key],
    ] as const) {
      writeFileSync(file(`${name}.new`), text);
      renameSync(file(`${name}.new`), file(name));
    }
  }

  const open = ({ cert = "", key = "", ca = "" }) =>
    new Certificates({ cert: cert && file(cert), key: key && file(key), ca: ca && file(ca) }, names);
  const serverFiles = { cert: "cert.pem", key: "key.pem" };

  async function serve(certificates: Certificates): Promise<string> {
    const server = new Server();
    new HealthService([""]).addToServer(server);
    const address = await listen(server, "127.0.0.1:0", serverCredentials(certificates));
    closing.push(() => server.forceShutdown());
    return address;
  }

  /** How a call ends: `SERVING`, or with an error. Each has a connection of its own. */
  async function check(address: string, credentials: ChannelCredentials, options = {}): Promise<string> {
    const client = new HealthClient(address, credentials, { "grpc.use_local_subchannel_pool": 1, ...options });
    try {
      return String((await callUnary(client.check.bind(client), { service: "" }, 5_000)).status);
    } catch (error) {
      const { code, details } = error as ServiceError;
      return `${status[code]}: ${connectionWords(details)}`;
    } finally {
      client.close();
    }
  }

  it("let a client in that knows the server's authority, and has it refuse another's server, or another's name", async () => {
    const address = await serve(open(serverFiles));
    const knows = channelCredentials(open({ ca: "ca.pem" }));
    assert.equal(await check(address, knows), "SERVING");
    const localhost = address.replace("127.0.0.1", "localhost");
    assert.equal(await check(localhost, knows), "SERVING");
    assert.match(await check(address, channelCredentials(open({ ca: "other-ca.pem" }))), /^UNAVAILABLE: .*certificate/);
    assert.match(
      await check(address, knows, { "grpc.ssl_target_name_override": "elsewhere" }),
      /^UNAVAILABLE: .*elsewhere.*altnames/,
    );
  });

  it("have a server refuse clients without a certificate of its authorities", async () => {
    const address = await serve(open({ ...serverFiles, ca: "ca.pem" }));
    const as = (who: string) =>
      channelCredentials(open({ cert: `${who}-cert.pem`, key: `${who}-key.pem`, ca: "ca.pem" }));
    assert.equal(await check(address, as("client")), "SERVING");
    const refused = /^UNAVAILABLE: what listens there .*another certificate of the client/;
    assert.match(await check(address, as("stranger")), refused);
    assert.match(await check(address, channelCredentials(open({ ca: "ca.pem" }))), refused);
  });

  it("say so where only one side uses TLS", async () => {
    const address = await serve(open(serverFiles));
    assert.match(await check(address, channelCredentials(undefined)), /^UNAVAILABLE: .*TLS/);
    const plain = new Server();
    new HealthService([""]).addToServer(plain);
    const plainAddress = await listen(plain, "127.0.0.1:0");
    closing.push(() => plain.forceShutdown());
    assert.match(await check(plainAddress, channelCredentials(open({ ca: "ca.pem" }))), /^UNAVAILABLE: .*TLS/);
  });

  describe("while they are watched", () => {
    let told: string[];
    let log: CertificateLog;
    beforeEach(() => {
      told = [];
      const tell = (facts: { reason?: string; validUntil?: Date }, message: string) =>
        told.push(`${message}: ${facts.reason ?? facts.validUntil?.toISOString().slice(0, 10)}`);
      log = { info: tell, warn: tell, error: tell };
    });

    it("are read again for new connections, on both sides, and those that are open stay", async () => {
      const [own, known] = [
        open({ ...serverFiles, ca: "ca.pem" }),
        open({ cert: "client-cert.pem", key: "client-key.pem", ca: "ca.pem" }),
      ];
      const address = await serve(own);
      const credentials = channelCredentials(known);
      for (const certificates of [own, known]) {
        certificates.watch(log, times);
        closing.push(() => certificates.stop());
      }
      const open1 = new HealthClient(address, credentials, { "grpc.use_local_subchannel_pool": 1 });
      closing.push(() => open1.close());
      const ask = () => callUnary(open1.check.bind(open1), { service: "" }, 5_000);
      await ask();
      const next = new TestAuthority("The next authority");
      const until = new Date(Date.UTC(2099, 0, 1));
      write(next.issue({ name: "server", until }));
      write(next.issue({ name: "client", hosts: [], until }), "client-");
      writeFileSync(file("ca.pem"), next.cert);
      await eventually("both are renewed", () => told.filter((line) => line.endsWith(": 2099-01-01")).length >= 2);
      await eventually("new connections", async () => (await check(address, credentials)) === "SERVING");
      await ask();
      const before = new Certificates({ cert: "", key: "", ca: file("other-ca.pem") }, names);
      assert.match(await check(address, channelCredentials(before)), /^UNAVAILABLE/);
    });

    it("stay as they are while the files are not right, and say what is wrong", async () => {
      const own = open(serverFiles);
      const address = await serve(own);
      own.watch(log, times);
      closing.push(() => own.stop());
      const { cert, key } = authority.issue({ name: "server" });
      writeFileSync(file("cert.pem"), cert);
      await eventually("the lone certificate is seen", () => told.length === 1);
      assert.match(
        told.pop() ?? "",
        / those of before stay in use: tls\.key: expected the private key of tls\.cert .*; came another one/,
      );
      assert.equal(await check(address, channelCredentials(open({ ca: "ca.pem" }))), "SERVING");
      writeFileSync(file("key.pem"), key);
      await eventually("the pair is seen", () => told.length > 0);
      assert.match(told.pop() ?? "", /^certificates read anew/);
      assert.equal(await check(address, channelCredentials(open({ ca: "ca.pem" }))), "SERVING");
    });

    it("stay as they are while the new certificate's time is over, or has not come", async () => {
      const own = open(serverFiles);
      own.watch(log, times);
      closing.push(() => own.stop());
      const before = own.identity?.certificate;
      const hourMs = 3_600_000;
      for (const [fromMs, untilMs, words] of [
        [-2 * hourMs, -hourMs, "is not valid any more"],
        [hourMs, 2 * hourMs, "is not valid yet"],
      ] as const) {
        const now = Date.now();
        write(authority.issue({ name: "server", from: new Date(now + fromMs), until: new Date(now + untilMs) }));
        await eventually(words, () => told.length > 0);
        const expected = `tls.cert: the certificate in ${file("cert.pem")} ${words}`;
        assert.deepEqual(told.splice(0), [
          `certificates have changed and cannot be used, those of before stay in use: ${expected}`,
        ]);
        assert.equal(own.identity?.certificate, before);
      }
    });

    it("are told once, however many files a renewal has changed, or are not right", async () => {
      const own = open({ ...serverFiles, ca: "ca.pem" });
      own.watch(log, times);
      closing.push(() => own.stop());
      const next = new TestAuthority("The next authority");
      write(next.issue({ name: "server" }));
      writeFileSync(file("ca.pem"), next.cert);
      await eventually("the renewal", () => told.length > 0);
      for (const name of ["cert.pem", "key.pem", "ca.pem"]) writeFileSync(file(name), "");
      await eventually("the problem", () => told.length > 1);
      // Longer than a change of each of the files would take to be seen.
      await delay(5 * times.quietMs);
      assert.deepEqual(
        told.map((line) => line.replace(/:.*/, "")),
        [
          "certificates read anew, for new connections",
          "certificates have changed and cannot be used, those of before stay in use",
        ],
      );
    });

    it("say that they expire: in time, and in time for their life", () => {
      const dayMs = 24 * 3_600_000;
      const leftOf = (days: number, lifeDays: number) => {
        const until = new Date(Date.now() + days * dayMs);
        write(authority.issue({ name: "server", from: new Date(until.getTime() - lifeDays * dayMs), until }));
        const own = open(serverFiles);
        own.watch(log, times);
        own.stop();
        return told.splice(0).map((line) => line.replace(/:.*/, ""));
      };
      assert.deepEqual(leftOf(15, 365), []);
      assert.deepEqual(leftOf(13, 365), ["certificate expires soon"]);
      assert.deepEqual(leftOf(13, 90), []);
      assert.deepEqual(leftOf(0.2, 1), []);
      assert.deepEqual(leftOf(-1, 90), ["certificate is not valid any more"]);
      assert.deepEqual(leftOf(91, 90), ["certificate is not valid yet"]);
    });
  });

  describe("that cannot be used are refused in words", () => {
    const cases: readonly [string, Parameters<typeof open>[0], RegExp][] = [
      [
        "a missing file",
        { ...serverFiles, cert: "none.pem" },
        /^tls\.cert: cannot read .*none\.pem: no such file or folder$/,
      ],
      ["a folder", { ca: "." }, /^tls\.clientCa: cannot read .*: it is a folder$/],
      ["no key", { cert: "cert.pem" }, /^tls\.key: expected the private key of tls\.cert; came nothing$/],
      ["no certificate", { key: "key.pem" }, /^tls\.cert: expected the certificate of tls\.key; came nothing$/],
      [
        "another's key",
        { cert: "cert.pem", key: "client-key.pem" },
        /^tls\.key: expected the private key of tls\.cert .*cert\.pem.*; came another one .*client-key\.pem/,
      ],
      [
        "a key in place of a certificate",
        { ca: "key.pem" },
        /^tls\.clientCa: expected certificates in PEM .*key\.pem; came none$/,
      ],
      [
        "a certificate in place of a key",
        { cert: "cert.pem", key: "ca.pem" },
        /^tls\.key: expected a private key in PEM .*ca\.pem; came something else$/,
      ],
      ["an empty file", { ca: "empty.pem" }, /^tls\.clientCa: expected certificates in PEM .*; came an empty file$/],
      ["authorities that are cut off", { ca: "cut.pem" }, /^tls\.clientCa: .*cut\.pem; came one that is cut off$/],
      [
        "what is no authority",
        { ca: "cert.pem" },
        /^tls\.clientCa: expected an authority's certificate in .*cert\.pem; came none that may sign others$/,
      ],
      ["a damaged certificate", { ca: "damaged.pem" }, /^tls\.clientCa: .*damaged\.pem; came one that cannot be read$/],
      [
        "a key with a passphrase",
        { cert: "cert.pem", key: "locked.pem" },
        /^tls\.key: .*without a passphrase in .*locked\.pem; came one with a passphrase$/,
      ],
    ];
    for (const [what, paths, message] of cases)
      it(what, () => {
        writeFileSync(file("empty.pem"), "");
        writeFileSync(file("cut.pem"), authority.cert + authority.cert.slice(0, 300));
        writeFileSync(file("damaged.pem"), authority.cert.replace(/MII.{40}/, "MII"));
        const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
        const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" } as const;
        writeFileSync(file("locked.pem"), privateKey.export(options));
        assert.throws(() => open(paths), { name: "Error", message });
      });
  });

  it("that tests make are certificates to others, too", () => {
    try {
      execFileSync("openssl", ["verify", "-CAfile", file("ca.pem"), file("cert.pem")], { stdio: "pipe" });
    } catch (error) {
      // Only where there is no such program: nothing of ours is tested by it.
      assert.equal((error as NodeJS.ErrnoException).code, "ENOENT");
    }
  });
});
