import { randomBytes, randomUUID } from "node:crypto";
import { Kind, type SaveHeader, type SaveResponse } from "@bilancia/proto/gen/storage";
import { StorageClient } from "@bilancia/proto/services";
import { type ConnectOptions, connect } from "./balancer-dialect.js";
import type { Answer, Dialect } from "./dialect.js";

/** `Storage.Save`, straight to a server or through a proxy. @param name of its files; different ones never meet on a disk */
export function storageDialect(
  address: string,
  name: string,
  options: ConnectOptions = {},
): Dialect<SaveHeader, SaveResponse> {
  const clients = connect(StorageClient, address, options);
  const origin = randomBytes(16).toString("hex");
  const uploadIds = new Map<bigint, string>();
  let lastNumber = 0n;
  return {
    open: (index) => (clients[index % clients.length] as StorageClient).save(),
    begin({ sizeBytes }) {
      const uploadId = randomUUID();
      const requestNumber = ++lastNumber;
      uploadIds.set(requestNumber, uploadId);
      const header: SaveHeader = {
        ...{ origin, requestNumber, uploadId, attempt: 1, term: 1n, name: `${name}.bin` },
        ...{ sizeBytes: BigInt(sizeBytes), sha256: undefined, labels: {} },
        ...{ contentType: "application/octet-stream", kind: Kind.KIND_BINARY },
      };
      return { key: requestNumber, header };
    },
    answers: ({ results }) =>
      results.flatMap(({ requestNumber: key, outcome }): Answer[] => {
        const uploadId = uploadIds.get(key) ?? "";
        switch (outcome?.$case) {
          case "saved": {
            uploadIds.delete(key);
            const { sizeBytes, sha256 } = outcome.value;
            return [{ key, kind: "stored", sizeBytes, sha256, file: { requestNumber: key, uploadId, origin } }];
          }
          case "busy":
            return [{ key, kind: "failed", message: "the server is busy" }];
          case "refused":
            return [{ key, kind: "failed", message: outcome.value.message }];
          default:
            return [];
        }
      }),
    close() {
      for (const client of clients) client.close();
    },
  };
}
