import { type FileId, fileKey } from "./file-id.js";
import type { FileJournal } from "./file-journal.js";
import { isFull } from "./system-error.js";

const maxEntriesCount = 16_384;
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
  readonly key: string;
  readonly sequence: bigint;
  readonly sizeBytes: number;
  /** Where the file lies; unknown while it has no name. */
  path?: string;
}

/**
 * The journalled files of this run whose own bytes and names are not known to be flushed. Trims the journal in the background: flushes the
 * files that have their names by then, all together, and only then removes their entries. Bounded: who wants to add waits for room first.
 */
export class JournalBacklog {
  readonly #options: JournalBacklogOptions;
  readonly #entries = new Map<string, BacklogEntry>();
  readonly #timer: NodeJS.Timeout;
  #waiting: { sizeBytes: number; go: () => void }[] = [];
  #entriesCount = 0;
  #bytes = 0;
  #trimming: Promise<void> | undefined;
  #closed = false;
  #failed = false;

  constructor(options: JournalBacklogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#startTrim(), trimEveryMs).unref();
  }

  /** Resolves once there is room for a file, which is taken with it. After a failure there is always room: its callers find out by themselves. */
  async reserve(sizeBytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(sizeBytes)) {
      this.#take(sizeBytes);
      return;
    }
    this.#startTrim();
    await new Promise<void>((go) => this.#waiting.push({ sizeBytes, go }));
  }

  /** Gives back the room of a file that was never added. */
  giveBack(sizeBytes: number): void {
    this.#entriesCount--;
    this.#bytes -= sizeBytes;
    this.#admit();
  }

  /** Adds a file for which room has been reserved. Once it has its name, the caller sets `path`. */
  add(
    id: FileId,
    sizeBytes: number,
    chunks: readonly Uint8Array[],
  ): { readonly entry: BacklogEntry; readonly flushed: Promise<void> } {
    const { sequence, flushed } = this.#options.journal.add(id, chunks);
    const entry = { key: fileKey(id), sequence, sizeBytes };
    this.#entries.set(entry.key, entry);
    return { entry, flushed };
  }

  /** Removes the entry of a file, if there is one. Resolves once that is flushed. */
  async remove(id: FileId): Promise<void> {
    const entry = this.#entries.get(fileKey(id));
    if (!entry) return;
    const removed = this.#options.journal.remove([entry.sequence]);
    this.#forget(entry);
    await removed;
  }

  /** The file has its name: from now on its entry can be trimmed. */
  settle(entry: BacklogEntry, path: string): void {
    entry.path = path;
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
    const entries = [...this.#entries.values()].filter(({ path }) => path !== undefined);
    if (entries.length === 0 || this.#failed) return false;
    try {
      await this.#options.syncFiles(entries.flatMap(({ path }) => path ?? []));
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.#failed) return false;
    // One that was discarded meanwhile has gone already; its file may have been saved anew, under another entry.
    const left = entries.filter((entry) => this.#entries.get(entry.key) === entry);
    try {
      await this.#options.journal.remove(left.map(({ sequence }) => sequence));
    } catch (error) {
      // Where there is no room to remove them they stay, which does no harm, and go another time.
      if (!isFull(error)) this.#fail(error);
      return false;
    }
    for (const entry of left) if (this.#entries.get(entry.key) === entry) this.#forget(entry);
    return true;
  }

  #fail(error: unknown): void {
    this.halt();
    this.#options.onBroken(error);
  }

  #isHigh(): boolean {
    return this.#entriesCount >= maxEntriesCount * trimAtFraction || this.#bytes >= maxBytes * trimAtFraction;
  }

  #forget(entry: BacklogEntry): void {
    this.#entries.delete(entry.key);
    this.giveBack(entry.sizeBytes);
  }

  #fits(sizeBytes: number): boolean {
    return (
      this.#closed || this.#failed || (this.#entriesCount < maxEntriesCount && this.#bytes + sizeBytes <= maxBytes)
    );
  }

  #take(sizeBytes: number): void {
    this.#entriesCount++;
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
