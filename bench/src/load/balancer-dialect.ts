import { randomUUID } from "node:crypto";
import { channelOptions } from "@bilancia/proto/channel-options";
import { Ack, type UploadFileResponse, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { sendInPlace } from "@bilancia/proto/message-sending";
import { BalancerClient } from "@bilancia/proto/services";
import { type ChannelOptions, credentials } from "@grpc/grpc-js";
import type { Answer, Dialect } from "./dialect.js";

/** How to talk to a server. */
export interface ConnectOptions {
  /** Connections that streams are spread over. Default: 1. */
  readonly connections?: number;
  /** Default: those of the project. */
  readonly channelOptions?: ChannelOptions;
}

/** Connections to an address, that are never shared with others. */
export function connect<Client>(
  make: new (
    address: string,
    secrets: ReturnType<typeof credentials.createInsecure>,
    options: ChannelOptions,
  ) => Client,
  address: string,
  options: ConnectOptions,
): Client[] {
  sendInPlace();
  const own = { ...(options.channelOptions ?? channelOptions), "grpc.use_local_subchannel_pool": 1 };
  return Array.from({ length: options.connections ?? 1 }, () => new make(address, credentials.createInsecure(), own));
}

/** `Balancer.UploadFile`. */
export function balancerDialect(
  address: string,
  ack: Ack,
  options: ConnectOptions = {},
): Dialect<UploadHeader, UploadFileResponse> {
  const clients = connect(BalancerClient, address, options);
  return {
    open: (index) => (clients[index % clients.length] as BalancerClient).uploadFile(),
    begin({ sizeBytes }) {
      const uploadId = randomUUID();
      const common = { contentType: "application/octet-stream", kind: Kind.KIND_BINARY, labels: {}, priority: 0 };
      const header = { ...common, uploadId, name: "ours.bin", sizeBytes: BigInt(sizeBytes), sha256: undefined, ack };
      return { key: uploadId, header };
    },
    answers: ({ events }) =>
      events.flatMap(({ uploadId: key, requestNumber, event }): Answer[] => {
        switch (event?.$case) {
          case "queued":
            return ack === Ack.ACK_QUEUED ? [{ key, kind: "queued" }] : [];
          case "stored": {
            const { receipt } = event.value;
            if (!receipt) return [{ key, kind: "failed", message: "stored without a receipt" }];
            const { sizeBytes, sha256 } = receipt;
            return [{ key, kind: "stored", sizeBytes, sha256, file: { requestNumber, uploadId: key, origin: "" } }];
          }
          case "rejected":
            return [{ key, kind: "failed", message: event.value.message }];
          default:
            return [];
        }
      }),
    close() {
      for (const client of clients) client.close();
    },
  };
}
