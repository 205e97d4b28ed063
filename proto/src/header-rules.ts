import type { Kind } from "./gen/bilancia/v1/storage.js";
import {
  maxContentTypeBytes,
  maxFileBytes,
  maxLabelKeyBytes,
  maxLabels,
  maxLabelValueBytes,
  sha256Bytes,
} from "./limits.js";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text is a UUID in its usual form, whatever its version (RFC 9562). */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}

/** What the two headers, `UploadHeader` and `SaveHeader`, have in common besides the name. */
export interface DescribedFile {
  readonly sizeBytes?: bigint | undefined;
  readonly sha256?: Uint8Array | undefined;
  readonly contentType: string;
  readonly kind: Kind;
  readonly labels: Readonly<Record<string, string>>;
}

/** Says what is wrong with the descriptive fields of a header (everything but name and ids), or `undefined`. */
export function headerProblem(header: DescribedFile): string | undefined {
  const { sizeBytes, sha256, contentType, kind, labels } = header;
  if (sizeBytes !== undefined && sizeBytes > BigInt(maxFileBytes))
    return `size_bytes is ${sizeBytes}; expected at most ${maxFileBytes}`;
  if (sha256 !== undefined && sha256.length !== sha256Bytes)
    return `sha256 has ${sha256.length} bytes; expected ${sha256Bytes}`;
  const contentTypeBytes = Buffer.byteLength(contentType);
  if (contentTypeBytes > maxContentTypeBytes)
    return `content_type has ${contentTypeBytes} bytes; expected at most ${maxContentTypeBytes}`;
  if (kind < 0 || kind > 2) return `kind is ${kind}; expected KIND_TEXT_DOCUMENT (1) or KIND_BINARY (2)`;
  const keys = Object.keys(labels);
  if (keys.length > maxLabels) return `there are ${keys.length} labels; expected at most ${maxLabels}`;
  for (const key of keys) {
    const keyBytes = Buffer.byteLength(key);
    if (keyBytes === 0 || keyBytes > maxLabelKeyBytes)
      return `the label ${JSON.stringify(key.slice(0, 60))} has a key of ${keyBytes} bytes; expected 1 to ${maxLabelKeyBytes}`;
    const valueBytes = Buffer.byteLength(labels[key] ?? "");
    if (valueBytes > maxLabelValueBytes)
      return `the label ${JSON.stringify(key)} has a value of ${valueBytes} bytes; expected at most ${maxLabelValueBytes}`;
  }
  return undefined;
}
