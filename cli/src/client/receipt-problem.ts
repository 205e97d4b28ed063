import type { Receipt } from "@bilancia/proto/gen/balancer";
import type { Upload } from "./upload.js";

const digestBytes = 32;

/**
 * Why a receipt cannot be this file's, in words for people; `undefined` where it fits. The length is always the whole file's, however much
 * of it was sent in this run. Nothing is said of what the client does not know: the digest, where the balancer has a large file from
 * before and answers at once; then also the length, where the source does not tell it.
 */
export function receiptProblem({ source, announced }: Upload, receipt: Receipt): string | undefined {
  const sizeBytes = announced?.sizeBytes ?? source.sizeBytes ?? receipt.sizeBytes;
  const sha256 = announced?.sha256;
  if (receipt.sizeBytes === BigInt(sizeBytes) && (!sha256 || Buffer.compare(receipt.sha256, sha256) === 0))
    return undefined;
  const own = sha256 ? ` with ${digestWords(sha256)}` : "";
  const received = `${receipt.sizeBytes} bytes with ${digestWords(receipt.sha256)}`;
  return `the balancer says 'stored', but its receipt is not for this file: the file has ${sizeBytes} bytes${own}, the receipt says ${received}`;
}

function digestWords(sha256: Uint8Array): string {
  if (sha256.length !== digestBytes) return `a SHA-256 of ${sha256.length} bytes in place of ${digestBytes}`;
  return `SHA-256 ${Buffer.from(sha256).toString("hex")}`;
}
