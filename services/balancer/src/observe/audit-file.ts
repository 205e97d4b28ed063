import { existsSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import path from "node:path";
import { fullAuditFile } from "@bilancia/proto/audit-files";
import { syncFolder } from "@bilancia/proto/folder";

/** Where the audit's lines go. */
export interface AuditSink {
  /** Adds bytes at the end, all or none: what a failed call has left is cut off before the next. */
  append(bytes: Buffer): Promise<void>;
  /** Makes durable what was added. */
  flush(): Promise<void>;
  /** How much there is, in bytes. */
  readonly lengthBytes: number;
  /** Puts what there is under the name of a full file, and begins a new one. Where that fails, the old one goes on. */
  rotate(lastSeq: number): Promise<void>;
  close(): Promise<void>;
}

/** An open file that only grows, and is put aside under another name when it is full. */
export class AuditFile implements AuditSink {
  readonly #file: string;
  #handle: FileHandle;
  #lengthBytes: number;
  /** Whether a failed write may have left something behind. */
  #ragged = false;

  private constructor(file: string, handle: FileHandle, lengthBytes: number) {
    this.#file = file;
    this.#handle = handle;
    this.#lengthBytes = lengthBytes;
  }

  /** Opens the file to go on at a length, which must be its own. */
  static async open(file: string, lengthBytes: number): Promise<AuditFile> {
    return new AuditFile(file, await open(file, "a"), lengthBytes);
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  async append(bytes: Buffer): Promise<void> {
    if (this.#ragged) await this.#handle.truncate(this.#lengthBytes);
    this.#ragged = true;
    await this.#handle.appendFile(bytes);
    this.#ragged = false;
    this.#lengthBytes += bytes.length;
  }

  async flush(): Promise<void> {
    await this.#handle.datasync();
  }

  async rotate(lastSeq: number): Promise<void> {
    if (this.#ragged) await this.#handle.truncate(this.#lengthBytes);
    this.#ragged = false;
    await this.#handle.sync();
    const full = fullAuditFile(this.#file, lastSeq);
    if (existsSync(full)) throw new Error(`${full} is there already; the audit overwrites nothing`);
    await rename(this.#file, full);
    const before = this.#handle;
    try {
      this.#handle = await open(this.#file, "ax");
    } catch (error) {
      await rename(full, this.#file);
      throw error;
    }
    this.#lengthBytes = 0;
    await before.close();
    await syncFolder(path.dirname(this.#file));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
