import { closeSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { type Header, headerBytes, headerIn, pageSizes } from "./format.js";

/** The headers of an open file. One is `undefined` where it is damaged, or not there. */
export interface Headers {
  readonly first: Header | undefined;
  readonly second: Header | undefined;
}

/** Reads both: the second is in the second page, and says how long a page is, so that it is found without the first, too. */
export function headersOf(fd: number): Headers {
  const second = pageSizes
    .map((bytes) => headerAt(fd, bytes))
    .find((header, at) => header?.pageBytes === pageSizes[at]);
  const first = headerAt(fd, 0);
  return { first: second && first?.pageBytes !== second.pageBytes ? undefined : first, second };
}

/**
 * LMDB opens no file whose first header is damaged; the second one it believes without a look, and goes by it where it is the newer one. So a header that is whole takes the
 * place of one that is damaged; what was there is kept beside the file. What the last commit may have lost is for who reads the file to say.
 */
export function restoreHeaders(dir: string): void {
  const fd = openSync(path.join(dir, "data.mdb"), "r+");
  try {
    const { first, second } = headersOf(fd);
    const whole = second ?? first;
    if (!whole || (first && second)) return;
    const [damaged, damagedAt, wholeAt] = second ? ["first", 0, whole.pageBytes] : ["second", whole.pageBytes, 0];
    writeFileSync(path.join(dir, `${damaged}-header.damaged-${Date.now()}`), bytesAt(fd, damagedAt), { flush: true });
    writeSync(fd, bytesAt(fd, wholeAt), 0, headerBytes, damagedAt);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function headerAt(fd: number, at: number): Header | undefined {
  const bytes = bytesAt(fd, at);
  return bytes.length === headerBytes ? headerIn(bytes) : undefined;
}

/** As many bytes as a header has; fewer at the end of the file. */
function bytesAt(fd: number, at: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  return bytes.subarray(0, readSync(fd, bytes, 0, headerBytes, at));
}
