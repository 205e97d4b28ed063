import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { Client, credentials, Server } from "@grpc/grpc-js";
import { listen } from "./grpc-server.js";
import { addReflection } from "./reflection.js";

/** The answer's field 6 is the list of services; each has its name in field 1. Field 7 would be an error. */
function serviceNames(answer: Buffer): string[] {
  const names: string[] = [];
  fields(answer, 6, (list) => fields(list, 1, (service) => fields(service, 1, (name) => names.push(`${name}`))));
  return names.sort();
}

/** The answer's field 4 holds the descriptors of the files, serialised, in field 1. */
function fileCount(answer: Buffer): number {
  let count = 0;
  fields(answer, 4, (list) => fields(list, 1, () => count++));
  return count;
}

function fields(bytes: Buffer, wanted: number, take: (value: Buffer) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === wanted && (tag & 7) === 2) take(Buffer.from(reader.bytes()));
    else reader.skip(tag & 7);
  }
}

/** Asks one question of `ServerReflectionInfo`; `field` 7 lists services, 4 finds the file of a symbol. */
function ask(client: Client, version: string, field: number, text: string): Promise<Buffer> {
  const request = Buffer.from(
    new BinaryWriter()
      .uint32((field << 3) | 2)
      .string(text)
      .finish(),
  );
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const same = (bytes: Buffer) => bytes;
  const call = client.makeBidiStreamRequest(path, same, same);
  return new Promise((resolve, reject) => {
    call.on("data", resolve).on("error", reject);
    call.write(request);
    call.end();
  });
}

/** The message in front of which is its length, as it goes over the wire. */
function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

describe("addReflection", () => {
  let server: Server;
  let client: Client;
  let address: string;

  before(async () => {
    server = new Server();
    addReflection(server, ["bilancia.v1.Storage"]);
    address = await listen(server, "127.0.0.1:0");
    client = new Client(address, credentials.createInsecure());
  });

  after(() => {
    client.close();
    server.forceShutdown();
  });

  for (const version of ["v1", "v1alpha"]) {
    it(`lists what the server serves (${version})`, async () => {
      const names = serviceNames(await ask(client, version, 7, "*"));
      assert.deepEqual(names, ["bilancia.v1.Storage", "grpc.health.v1.Health"]);
    });

    it(`describes it, with all that it imports (${version})`, async () => {
      // storage.proto, and the two of Google's that it imports.
      assert.equal(fileCount(await ask(client, version, 4, "bilancia.v1.Storage")), 3);
      assert.equal(fileCount(await ask(client, version, 4, "bilancia.v1.SaveRequest")), 3);
      assert.equal(fileCount(await ask(client, version, 4, "grpc.health.v1.Health")), 1);
    });

    it(`reads no further question while its answers are left unread, and goes on with them (${version})`, async () => {
      const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
      const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
      const call = session.request(headers);
      const question = framed(
        new BinaryWriter()
          .uint32((4 << 3) | 2)
          .string("bilancia.v1.Storage")
          .finish(),
      );
      const count = 6_000;
      call.end(Buffer.concat(Array(count).fill(question)));
      let isSent = false;
      call.on("finish", () => {
        isSent = true;
      });
      await delay(500);
      assert.equal(isSent, false, "all questions were taken");
      let answered = 0;
      call.on("data", (bytes: Buffer) => {
        answered += bytes.length;
      });
      session.settings({ initialWindowSize: 2 ** 30 });
      session.setLocalWindowSize(2 ** 30);
      await once(call, "end");
      assert.ok(answered > count * 1_000, `${answered} bytes`);
      session.destroy();
    });
  }
});
