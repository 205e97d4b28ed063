import type { SaveResponse } from "@bilancia/proto/gen/storage";
import { type SaveBatch, StorageClient, storageService } from "@bilancia/proto/services";
import {
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

// A process: the balancer of the protocol's first, teaching version. It listens at its first argument, and hands each file on, 0.2 s after it came, with a
// call of its own, to the next of the servers that its other arguments name.
const handlingMs = 200;
const [listen = "", ...addresses] = process.argv.slice(2);
const servers = addresses.map((address) => new StorageClient(address, credentials.createInsecure()));
let turn = 0;

const server = new Server();
const save = (call: ServerDuplexStream<SaveBatch, SaveResponse>) => {
  const batches: SaveBatch[] = [];
  call.on("data", (batch: SaveBatch) => batches.push(batch));
  call.on("end", () => {
    setTimeout(() => {
      const next = (servers[turn++ % servers.length] as StorageClient).save();
      next.on("data", (response: SaveResponse) => call.write(response));
      next.on("end", () => call.end());
      next.on("error", (error: ServiceError) => call.emit("error", error));
      for (const batch of batches) next.write(batch);
      next.end();
    }, handlingMs);
  });
};
server.addService(storageService, { save } as unknown as UntypedServiceImplementation);
server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
