import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const pageBytes = 4096;
const zeros = Buffer.alloc(pageBytes);
/** Pages are never changed, so what has been found out of one stays true. */
const pageDigests = new WeakMap<Buffer, string>();

/** The bytes of a file in memory. Pages of zeros take no room, here and where it is written to disk; copies share their pages. */
export class FileImage {
  readonly #pages: Map<number, Buffer>;
  #length: number;

  /** @param copied what to begin with; an empty file by default */
  constructor(copied?: FileImage) {
    this.#pages = new Map(copied ? copied.#pages : []);
    this.#length = copied ? copied.#length : 0;
  }

  /** Writes at a position; what lies before it and was never written is zeros. */
  write(offset: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done;
      const within = at % pageBytes;
      const part = bytes.subarray(done, done + pageBytes - within);
      this.#writePage(Math.floor(at / pageBytes), within, part);
      done += part.length;
    }
    this.extend(offset + bytes.length);
  }

  /** Makes it at least so long, in bytes. */
  extend(length: number): void {
    this.#length = Math.max(this.#length, length);
  }

  truncate(length: number): void {
    for (const number of this.#pages.keys()) if (number * pageBytes >= length) this.#pages.delete(number);
    const within = length % pageBytes;
    if (length < this.#length && within > 0)
      this.#writePage(Math.floor(length / pageBytes), within, zeros.subarray(within));
    this.#length = length;
  }

  /** Equal for equal bytes. */
  digest(): string {
    const hash = createHash("sha1").update(`${this.#length}`);
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      hash.update(`${number} ${pageDigest(this.#pages.get(number) as Buffer)}`);
    }
    return hash.digest("base64");
  }

  /** Makes a new file of it. */
  save(path: string): void {
    const fd = openSync(path, "wx");
    try {
      for (const [number, page] of this.#pages) writeSync(fd, page, 0, pageBytes, number * pageBytes);
      ftruncateSync(fd, this.#length);
    } finally {
      closeSync(fd);
    }
  }

  #writePage(number: number, within: number, part: Buffer): void {
    const before = this.#pages.get(number);
    let page = part;
    if (part.length < pageBytes) {
      page = Buffer.from(before ?? zeros);
      page.set(part, within);
    }
    if (page.equals(zeros)) this.#pages.delete(number);
    else this.#pages.set(number, page);
  }
}

function pageDigest(page: Buffer): string {
  let digest = pageDigests.get(page);
  if (digest === undefined) {
    digest = createHash("sha1").update(page).digest("base64");
    pageDigests.set(page, digest);
  }
  return digest;
}
