import { setTimeout as delay } from "node:timers/promises";
import type { SaveResponse } from "@bilancia/proto/gen/storage";
import { type SaveBatch, StorageClient, storageService } from "@bilancia/proto/services";
import {
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

// A process: the balancer of the protocol's first, teaching version. It listens at its first argument, and hands each file on, 0.2 s after it came, with a
// call of its own, to the next of the servers that its other arguments name.
const handlingMs = 200;
const [listen = "", ...addresses] = process.argv.slice(2);
const servers = addresses.map((address) => new StorageClient(address, credentials.createInsecure()));
let turn = 0;

const server = new Server();
const save = async (call: ServerDuplexStream<SaveBatch, SaveResponse>) => {
  try {
    const batches: SaveBatch[] = [];
    for await (const batch of call as AsyncIterable<SaveBatch>) batches.push(batch);
    await delay(handlingMs);
    const next = (servers[turn++ % servers.length] as StorageClient).save();
    for (const batch of batches) next.write(batch);
    next.end();
    for await (const response of next as AsyncIterable<SaveResponse>) call.write(response);
    call.end();
  } catch (error) {
    call.destroy(error instanceof Error ? error : new Error(String(error)));
  }
};
server.addService(storageService, { save } as unknown as UntypedServiceImplementation);
server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
