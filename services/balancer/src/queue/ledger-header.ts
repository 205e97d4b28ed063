import { closeSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { headerBytes, headerIn, pageSizes } from "./lmdb-format.js";

/**
 * LMDB opens no file whose first header is damaged, and goes by the older one where it is the second. So the second one takes the place of a first one that is damaged; what
 * was there is kept beside the file. What the last commit may have lost is for the check of the ledger to say, as it is with the second one.
 */
export function restoreFirstHeader(dir: string): void {
  const fd = openSync(path.join(dir, "data.mdb"), "r+");
  try {
    if (headerIn(readAt(fd, 0))) return;
    const second = pageSizes
      .map((bytes) => readAt(fd, bytes))
      .find((page, index) => headerIn(page)?.pageBytes === pageSizes[index]);
    if (!second) return;
    writeFileSync(path.join(dir, `first-header.damaged-${Date.now()}`), readAt(fd, 0), { flush: true });
    writeSync(fd, second, 0, headerBytes, 0);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, at: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  readSync(fd, bytes, 0, headerBytes, at);
  return bytes;
}
