import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileDescription, readRange } from "./file-source.js";
import type { UploadSource } from "./upload-source.js";

/** A source over bytes that could be read only once. Whoever has it closes it. */
export interface SpooledSource extends UploadSource {
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/**
 * Reads a stream to its end into a temporary file, so that its bytes can be sent again after a lost connection. The file has no name any
 * more when this returns, so nothing is left behind however the process ends.
 */
export async function spoolStream(
  stream: AsyncIterable<Uint8Array>,
  description: FileDescription,
  signal?: AbortSignal,
): Promise<SpooledSource> {
  const folder = await mkdtemp(join(tmpdir(), "lb-cli-"));
  try {
    const path = join(folder, "spool");
    const handle = await open(path, "wx+", 0o600);
    try {
      await rm(path);
      let sizeBytes = 0;
      for await (const piece of stream) {
        signal?.throwIfAborted();
        // Begins where the piece before it ended.
        await handle.writeFile(piece);
        sizeBytes += piece.length;
      }
      return {
        ...description,
        sizeBytes,
        open: (offsetBytes) => readRange(handle, "the temporary copy of the input", offsetBytes, sizeBytes),
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
