import type { QueryUploadResponse } from "@bilancia/proto/gen/balancer";
import { BalancerClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { credentials } from "@grpc/grpc-js";

/** What a balancer says of an upload, asked over a connection of its own. */
export async function queryUpload(address: string, uploadId: string): Promise<QueryUploadResponse> {
  const client = new BalancerClient(address, credentials.createInsecure());
  try {
    return await callUnary(client.queryUpload.bind(client), { key: { $case: "uploadId", value: uploadId } }, 5_000);
  } finally {
    client.close();
  }
}
