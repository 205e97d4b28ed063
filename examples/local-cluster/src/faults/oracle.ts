import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { storedFiles } from "../folder-listing.js";
import { sha256OfBytes, sha256OfFile } from "../test-support/sha256.js";

/** A file as its client knows it, by its name: that is unique, and so the file's identity on disk. */
interface SentFile {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What is wrong on the disks, as file names. */
export interface Findings {
  /** Acknowledged, and on no disk. */
  readonly lost: readonly string[];
  /** On the disks more than once. */
  readonly twice: readonly string[];
  /** Not the bytes that were sent: damaged, or a part only. */
  readonly corrupt: readonly string[];
  /** Never sent by anybody. */
  readonly unknown: readonly string[];
}

/**
 * The judge: knows what was sent and what was acknowledged from the clients, what is stored from the disks, and asks the system nothing. Each acknowledgement is
 * on disk, fsynced, before the client goes on.
 */
export class Oracle {
  readonly #file: string;
  readonly #fd: number;
  readonly #sent = new Map<string, SentFile>();
  /** Paths whose bytes have been found equal. */
  readonly #proven = new Set<string>();

  /** @param file where the acknowledgements go, one JSON line each */
  constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, "a");
  }

  /** A client is about to send a file. */
  sending(name: string, bytes: Uint8Array): void {
    this.#sent.set(name, { sha256: sha256OfBytes(bytes), sizeBytes: bytes.length });
  }

  /** A client was told that its file is safe. */
  acknowledged(name: string, uploadId: string): void {
    const sent = this.#sent.get(name);
    writeSync(
      this.#fd,
      `${JSON.stringify({ upload_id: uploadId, name, sha256: sent?.sha256, size: sent?.sizeBytes })}\n`,
    );
    fsyncSync(this.#fd);
  }

  /** The names of the acknowledged files, read back from disk. */
  acknowledgements(): string[] {
    const lines = readFileSync(this.#file, "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => (JSON.parse(line) as { name: string }).name);
  }

  /**
   * Compares folders with what is known. Files found equal before are not read again, unless `again`.
   */
  async examine(dirs: readonly string[], again = false): Promise<Findings> {
    const copies = new Map<string, number>();
    const corrupt: string[] = [];
    const unknown: string[] = [];
    for (const dir of dirs) {
      for (const { name, path, sizeBytes } of await storedFiles(dir)) {
        const sent = this.#sent.get(name);
        if (!sent) {
          unknown.push(name);
          continue;
        }
        copies.set(name, (copies.get(name) ?? 0) + 1);
        if (this.#proven.has(path) && !again) continue;
        if (sizeBytes === sent.sizeBytes && (await sha256OfFile(path)) === sent.sha256) this.#proven.add(path);
        else corrupt.push(name);
      }
    }
    const lost = this.acknowledgements().filter((name) => !copies.has(name));
    const twice = [...copies].flatMap(([name, count]) => (count > 1 ? [name] : []));
    return { lost, twice, corrupt, unknown };
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Whether nothing is wrong. */
export function isClean({ lost, twice, corrupt, unknown }: Findings): boolean {
  return lost.length + twice.length + corrupt.length + unknown.length === 0;
}
