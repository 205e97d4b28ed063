import { createHash } from "node:crypto";
import type { SaveHeader, SaveResponse } from "@bilancia/proto/gen/storage";
import { maxMessageBytes } from "@bilancia/proto/limits";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { Server, ServerCredentials, type ServerDuplexStream, type UntypedServiceImplementation } from "@grpc/grpc-js";

// A process: `Storage.Save` at the address in its first argument, as grpc-js comes, with no option but the size of a message. It keeps nothing, and answers with the
// digest of what came.
const server = new Server({ "grpc.max_receive_message_length": maxMessageBytes });
const save = (call: ServerDuplexStream<SaveBatch, SaveResponse>) => {
  let header: SaveHeader | undefined;
  let hash = createHash("sha256");
  let sizeBytes = 0;
  call.on("data", ({ parts }: SaveBatch) => {
    for (const part of parts) {
      if (part.header) {
        header = part.header;
        hash = createHash("sha256");
        sizeBytes = 0;
      }
      hash.update(part.data);
      sizeBytes += part.data.length;
      if (!part.finish || !header) continue;
      const { requestNumber, name: storedName } = header;
      const digest = { sizeBytes: BigInt(sizeBytes), sha256: hash.digest() };
      const value = { storedName, ...digest, duplicate: false, textStats: undefined };
      call.write({ results: [{ requestNumber, outcome: { $case: "saved", value } }], overloaded: false });
    }
  });
  call.on("end", () => call.end());
  call.on("error", () => call.end());
};
server.addService(storageService, { save } as unknown as UntypedServiceImplementation);
server.bindAsync(process.argv[2] ?? "", ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
