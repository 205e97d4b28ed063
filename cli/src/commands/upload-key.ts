import { isUuid } from "@bilancia/proto/header-rules";
import type { UploadKey } from "../client/bilancia-client.js";
import { UsageError } from "./command-context.js";

const largestRequestNumber = 2n ** 64n - 1n;

/** Reads the name of an upload: its request number or its upload id. @throws UsageError */
export function parseUploadKey(text: string): UploadKey {
  if (isUuid(text)) return { uploadId: text };
  if (/^[0-9]{1,20}$/.test(text)) {
    const requestNumber = BigInt(text);
    if (requestNumber > 0n && requestNumber <= largestRequestNumber) return { requestNumber };
  }
  throw new UsageError(`UPLOAD: expected a request number from 1, or an upload id (a UUID); got '${text}'`);
}
