import { type FileHandle, open } from "node:fs/promises";

/** Where the audit's lines go. */
export interface AuditSink {
  /** Adds bytes at the end, all or none: what a failed call has left is cut off before the next. */
  append(bytes: Buffer): Promise<void>;
  /** Makes durable what was added. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** An open file that only grows. */
export class AuditFile implements AuditSink {
  readonly #handle: FileHandle;
  #lengthBytes: number;
  /** Whether a failed write may have left something behind. */
  #ragged = false;

  private constructor(handle: FileHandle, lengthBytes: number) {
    this.#handle = handle;
    this.#lengthBytes = lengthBytes;
  }

  /** Opens the file to go on at a length, which must be its own. */
  static async open(file: string, lengthBytes: number): Promise<AuditFile> {
    return new AuditFile(await open(file, "a"), lengthBytes);
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

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
