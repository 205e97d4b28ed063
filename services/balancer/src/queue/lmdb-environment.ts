import { readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { DiskFull, FileRoom } from "@bilancia/proto/lmdb/file-room";
import { GroupCommit, groupCommitOptions } from "@bilancia/proto/lmdb/group-commit";
import { type Database, open, type RootDatabase } from "lmdb";
import { FlushFailed } from "./flush-failed.js";

/** A table of bytes by bytes, in the order of its keys. */
export type Table = Database<Buffer, Buffer>;

/** Pages of the file that may be resident in the process, in bytes, beside what it maps otherwise. */
const defaultMaxMappedBytes = 64 * 1024 * 1024;
/** After so many uses of a table it is looked at how much is resident; one use maps 64 KiB or a few times that. */
const usesPerLook = 500;

/** How an environment is kept. */
export interface LmdbEnvironmentOptions {
  /** How much of its file may be resident before it is let go of. Default: 64 MiB. */
  readonly maxMappedBytes?: number;
  /** Told once, when a write has failed for another reason than a full disk: nothing more is written then. */
  readonly onBroken?: (error: FlushFailed) => void;
}

/** What a write asks for besides being made. */
export interface WriteOptions {
  /** How much is written, where that is more than a page. Default: 0. */
  readonly bytes?: number | undefined;
  /** Whether it ends something: it may then use the room that is kept back from new uploads. Default: true. */
  readonly outcome?: boolean;
  /** Whether nobody waits for it: it goes with the next one that somebody waits for, or alone after some milliseconds. Default: false. */
  readonly lazy?: boolean;
}

/**
 * The LMDB environment under the ledger: its tables, and writes that become durable together.
 *
 * LMDB maps its file, and each page that was read stays resident in the process until the kernel is short of memory: with a long queue, all of the file. So once too much of
 * it is resident, the environment is closed and opened again, which lets go of all of it. Nobody sees that: writes wait for it, in their order, and there is no turn of the event
 * loop between the two in which somebody could read. Where the system does not tell what is resident (it is Linux that does), this is left out. A file that cannot be opened again ends the process, by a
 * rejection that nobody handles: the next start decides.
 */
export class LmdbEnvironment<Name extends string> {
  readonly #dir: string;
  readonly #names: readonly Name[];
  readonly #maxMappedBytes: number;
  #root: RootDatabase<Buffer, Buffer>;
  #tables: ReadonlyMap<Name, Table>;
  #room: FileRoom;
  readonly #commits: GroupCommit;
  #closed = false;
  #remapping: Promise<void> | undefined;
  /** Writes that wait until the file has been mapped anew. */
  #held: (() => void)[] = [];
  #uses = 0;
  /** What the process maps of files beside this one. */
  #otherBytes: number;

  constructor(dir: string, names: readonly Name[], options: LmdbEnvironmentOptions = {}) {
    this.#dir = dir;
    this.#names = names;
    this.#maxMappedBytes = options.maxMappedBytes ?? defaultMaxMappedBytes;
    this.#commits = new GroupCommit(
      () => this.#root,
      (cause) => {
        const error = new FlushFailed("the ledger could not be written", { cause });
        options.onBroken?.(error);
        return error;
      },
    );
    this.#root = openRoot(dir, names.length);
    this.#tables = openTables(this.#root, names);
    this.#room = new FileRoom(this.#root, dir);
    this.#otherBytes = residentFileBytes();
  }

  /** A table, for use at once: it must not be kept. */
  table(name: Name): Table {
    this.#uses += 1;
    if (this.#uses % usesPerLook === 0) this.#look();
    return this.#tables.get(name) as Table;
  }

  /**
   * Makes writes that become durable together, or not at all. What is written in one turn of the event loop shares a flush. They are made in the
   * order in which they were asked for.
   */
  write(writes: () => Promise<unknown>[], options: WriteOptions = {}): Promise<void> {
    if (this.#closed) return Promise.reject(new Error("the ledger is closed"));
    if (!this.#remapping) return this.#join(writes, options);
    return new Promise((resolve) => {
      this.#held.push(() => resolve(this.#join(writes, options)));
    });
  }

  /** Lets go of what reading has left in memory, where that is much: to be called between the pages of a long reading. */
  async relax(): Promise<void> {
    this.#look();
    await this.#remapping;
  }

  /** Waits for what has been written, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#remapping;
    await this.#commits.settled();
    await this.#root.flushed;
    await this.#root.close();
  }

  #join(writes: () => Promise<unknown>[], { bytes = 0, outcome = true, lazy = false }: WriteOptions): Promise<void> {
    if (this.#commits.failed) return Promise.reject(this.#commits.failed);
    try {
      return this.#commits.write(writes, { lazy, done: this.#takeRoom(bytes, outcome) });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #takeRoom(bytes: number, outcome: boolean): () => void {
    try {
      return this.#room.take(bytes, outcome);
    } catch (error) {
      throw error instanceof DiskFull ? error : this.#commits.fail(error);
    }
  }

  #look(): void {
    if (this.#remapping || this.#closed || residentFileBytes() - this.#otherBytes <= this.#maxMappedBytes) return;
    this.#remapping = this.#remap();
  }

  async #remap(): Promise<void> {
    await this.#commits.settled();
    await this.#root.flushed;
    await turn();
    // Nothing is under way in LMDB now, so that closing takes microtasks only: no other code runs before the tables are back.
    await this.#root.close();
    this.#root = openRoot(this.#dir, this.#names.length);
    this.#tables = openTables(this.#root, this.#names);
    this.#room = new FileRoom(this.#root, this.#dir);
    this.#otherBytes = residentFileBytes();
    this.#remapping = undefined;
    for (const write of this.#held.splice(0)) write();
  }
}

function openRoot(dir: string, tables: number): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path: dir,
    ...groupCommitOptions,
    encoding: "binary",
    keyEncoding: "binary",
    maxDbs: tables + 2,
  });
}

function openTables<Name extends string>(
  root: RootDatabase<Buffer, Buffer>,
  names: readonly Name[],
): ReadonlyMap<Name, Table> {
  return new Map(
    names.map((name) => [name, root.openDB<Buffer, Buffer>({ name, encoding: "binary", keyEncoding: "binary" })]),
  );
}

/** How much of mapped files is resident in this process, in bytes (`RssFile`, see proc(5)); 0 where the system does not tell. */
function residentFileBytes(): number {
  try {
    const kib = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return Number(kib ?? 0) * 1024;
  } catch {
    // Not Linux, or no /proc there.
    return 0;
  }
}
