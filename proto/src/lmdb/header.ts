import { closeSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { type Header, headerBytes, headerIn, pageSizes } from "./format.js";

/** The header at a place of an open file; `undefined` where there is none, or a damaged one. */
export function headerAt(fd: number, at: number): Header | undefined {
  const bytes = bytesAt(fd, at);
  return bytes.length === headerBytes ? headerIn(bytes) : undefined;
}

/**
 * LMDB opens no file whose first header is damaged, and goes by the older one where it is the second. So the second one takes the place of a first one that is damaged; what
 * was there is kept beside the file. What the last commit may have lost is for who reads the file to say, as it is with the second one.
 */
export function restoreFirstHeader(dir: string): void {
  const fd = openSync(path.join(dir, "data.mdb"), "r+");
  try {
    if (headerAt(fd, 0)) return;
    const secondAt = pageSizes.find((bytes) => headerAt(fd, bytes)?.pageBytes === bytes);
    if (secondAt === undefined) return;
    writeFileSync(path.join(dir, `first-header.damaged-${Date.now()}`), bytesAt(fd, 0), { flush: true });
    writeSync(fd, bytesAt(fd, secondAt), 0, headerBytes, 0);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** As many bytes as a header has; fewer at the end of the file. */
function bytesAt(fd: number, at: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  return bytes.subarray(0, readSync(fd, bytes, 0, headerBytes, at));
}
