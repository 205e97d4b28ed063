import { isFull } from "@bilancia/proto/system-error";
import type { FileId } from "./file-id.js";
import type { FileJournal } from "./file-journal.js";

const maxFilesCount = 16_384;
const maxBytes = 64 * 1024 * 1024;
/** From which part of a limit on the journal is trimmed at once. */
const trimAtFraction = 0.5;
/** How long an entry waits to be trimmed where there are few, in milliseconds. */
const trimEveryMs = 1_000;

/** What a `JournalBacklog` works with. */
export interface JournalBacklogOptions {
  readonly journal: FileJournal;
  /** Flushes files under their final names, and the names. Never called twice at once. */
  readonly syncFiles: (paths: readonly string[]) => Promise<void>;
  /** Called once, when a flush has failed; nothing is trimmed after it. */
  readonly onBroken: (error: unknown) => void;
}

/** One file in the journal. */
export interface BacklogEntry {
  readonly pack: bigint;
  readonly sizeBytes: number;
  /** Resolves once it is flushed in the journal. */
  readonly flushed: Promise<void>;
}

/** A pack of the journal. */
interface BacklogPack {
  /** Files that have no name yet. */
  namelessCount: number;
  readonly paths: string[];
  filesCount: number;
  sizeBytes: number;
}

/**
 * The journalled files of this run whose own bytes and names are not known to be flushed. Trims the journal in the background: flushes the
 * packs whose files all have their names by then, all together, and only then removes them. Bounded: who wants to add waits for room first.
 */
export class JournalBacklog {
  readonly #options: JournalBacklogOptions;
  readonly #packs = new Map<bigint, BacklogPack>();
  readonly #timer: NodeJS.Timeout;
  #waiting: { sizeBytes: number; go: () => void }[] = [];
  #filesCount = 0;
  #bytes = 0;
  #trimming: Promise<void> | undefined;
  #closed = false;
  #failed = false;

  constructor(options: JournalBacklogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#startTrim(), trimEveryMs).unref();
  }

  /** Resolves once there is room for a file, which is taken with it; at once with `undefined` where there is. After a failure there is always room: its callers find out by themselves. */
  reserve(sizeBytes: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#fits(sizeBytes)) {
      this.#take(sizeBytes);
      return undefined;
    }
    this.#startTrim();
    return new Promise<void>((go) => this.#waiting.push({ sizeBytes, go }));
  }

  /** Gives back the room of a file that was never added. */
  giveBack(sizeBytes: number): void {
    this.#free(1, sizeBytes);
  }

  /** Adds a file for which room has been reserved. The caller settles it. */
  add(id: FileId, sizeBytes: number, chunks: readonly Uint8Array[]): BacklogEntry {
    const { sequence, flushed } = this.#options.journal.add(id, chunks, sizeBytes);
    let pack = this.#packs.get(sequence);
    if (!pack) {
      pack = { namelessCount: 0, paths: [], filesCount: 0, sizeBytes: 0 };
      this.#packs.set(sequence, pack);
    }
    pack.namelessCount++;
    pack.filesCount++;
    pack.sizeBytes += sizeBytes;
    return { pack: sequence, sizeBytes, flushed };
  }

  /** The file has its name, or, without a path, will never have one and has no record any more: what is in the journal may go with its pack. */
  settle(entry: BacklogEntry, path?: string): void {
    const pack = this.#packs.get(entry.pack);
    if (!pack) return;
    pack.namelessCount--;
    if (path !== undefined) pack.paths.push(path);
    if (this.#waiting.length > 0 || this.#isHigh()) this.#startTrim();
  }

  /** A flush has failed, here or elsewhere: what is in the journal stays there for the next start. */
  halt(): void {
    this.#failed = true;
    clearInterval(this.#timer);
    this.#admit();
  }

  /** Trims what there is, and nothing after that. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closed = true;
    await this.#trimming;
    await this.#trim();
  }

  #startTrim(): void {
    if (this.#closed || this.#trimming) return;
    this.#trimming = this.#trim().then((progressed) => {
      this.#trimming = undefined;
      if (progressed && (this.#waiting.length > 0 || this.#isHigh())) this.#startTrim();
    });
  }

  /** @returns whether it is worth going on */
  async #trim(): Promise<boolean> {
    const packs = [...this.#packs].filter(([, { namelessCount }]) => namelessCount === 0);
    if (packs.length === 0 || this.#failed) return false;
    try {
      await this.#options.syncFiles(packs.flatMap(([, { paths }]) => paths));
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.#failed) return false;
    try {
      await this.#options.journal.remove(packs.map(([sequence]) => sequence));
    } catch (error) {
      // Where there is no room to remove them they stay, which does no harm, and go another time.
      if (!isFull(error)) this.#fail(error);
      return false;
    }
    for (const [sequence, { filesCount, sizeBytes }] of packs) {
      this.#packs.delete(sequence);
      this.#free(filesCount, sizeBytes);
    }
    return true;
  }

  #fail(error: unknown): void {
    this.halt();
    this.#options.onBroken(error);
  }

  #isHigh(): boolean {
    return this.#filesCount >= maxFilesCount * trimAtFraction || this.#bytes >= maxBytes * trimAtFraction;
  }

  #free(filesCount: number, sizeBytes: number): void {
    this.#filesCount -= filesCount;
    this.#bytes -= sizeBytes;
    this.#admit();
  }

  #fits(sizeBytes: number): boolean {
    return this.#closed || this.#failed || (this.#filesCount < maxFilesCount && this.#bytes + sizeBytes <= maxBytes);
  }

  #take(sizeBytes: number): void {
    this.#filesCount++;
    this.#bytes += sizeBytes;
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first && this.#fits(first.sizeBytes); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.sizeBytes);
      first.go();
    }
  }
}
