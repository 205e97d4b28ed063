import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

/** SHA-256 of a file's bytes, in hexadecimal. */
export async function sha256OfFile(filePath: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(filePath, "r");
  try {
    const buffer = Buffer.allocUnsafe(Math.min((await file.stat()).size + 1, 1024 * 1024));
    for (let bytesRead = -1; bytesRead !== 0; ) {
      ({ bytesRead } = await file.read(buffer));
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

/** SHA-256 of bytes, in hexadecimal. */
export function sha256OfBytes(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
