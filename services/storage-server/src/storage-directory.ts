import type { Dirent } from "node:fs";
import { constants, existsSync } from "node:fs";
import { access, mkdir, open as openFile, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "@bilancia/proto/folder";
import { lockFolder } from "@bilancia/proto/folder-lock";
import { FileRoom } from "@bilancia/proto/lmdb/file-room";
import { GroupCommit } from "@bilancia/proto/lmdb/group-commit";
import { describeError, errorCode } from "@bilancia/proto/system-error";
import { open, type RootDatabase } from "lmdb";
import type { Logger } from "pino";
import { mendIndex } from "./damaged-index.js";
import { DirectoryStore } from "./directory-store.js";
import type { Disk } from "./disk.js";
import { FileIndex } from "./file-index.js";
import { FileJournal } from "./file-journal.js";
import { indexOptions } from "./index-tables.js";
import { recoverJournal } from "./journal-recovery.js";
import { storedNamePattern } from "./stored-names.js";

/** A directory cannot be used. The message is for people. */
export class DirectoryError extends Error {}

/** What to do with a directory when it is opened. */
export interface StorageDirectoryOptions {
  readonly dir: string;
  /** Remove all stored files and the index first. */
  readonly wipe: boolean;
  readonly disk: Disk;
  readonly log: Logger;
  /** Called once, when a flush has failed; see `StoreBroken`. */
  readonly onBroken: (error: Error) => void;
}

/** A directory in use by this process. */
export interface StorageDirectory {
  readonly store: DirectoryStore;
  /** Flushes what is only in the journal, closes the index and gives the directory back. Nothing may use the store any more. */
  close(): Promise<void>;
}

const maxLoggedNames = 20;

/**
 * Opens a directory: makes it if it is missing, takes it for this process, sweeps what a crash left, makes good what it took, and wipes it if
 * asked to.
 * Stored files lie directly in it; temp files and the index under `.bilancia`.
 *
 * @throws DirectoryError when it cannot be used or another process uses it
 */
export async function openStorageDirectory(options: StorageDirectoryOptions): Promise<StorageDirectory> {
  const { dir, disk, log } = options;
  const ownDir = join(dir, ".bilancia");
  const tempDir = join(ownDir, "tmp");
  const indexDir = join(ownDir, "index");
  let unlock: (() => void) | undefined;
  let environment: RootDatabase | undefined;
  try {
    await makeFolder(dir, disk.syncDirectory);
    disk.hold(dir);
    await mkdir(tempDir, { recursive: true });
    await access(dir, constants.W_OK | constants.X_OK);
    unlock = await lockFolder(ownDir);
    await sweep(tempDir, log);
    await mendIndex(indexDir, disk, log);
    await mkdir(indexDir, { recursive: true });
    await makeIndex(indexDir, tempDir, disk);
    await disk.syncDirectory(ownDir);
    environment = open({ path: indexDir, ...indexOptions });
    const opened = environment;
    const commits = new GroupCommit(() => opened);
    const index = new FileIndex(environment, commits, ({ origin, requestNumber }, problem) =>
      log.error({ origin, requestNumber, problem }, "index record is damaged"),
    );
    const room = new FileRoom(environment, indexDir);
    const journal = new FileJournal(environment, commits, room);
    if (options.wipe) await wipe(dir, index, journal, log);
    else await recoverJournal({ dir, tempDir, disk, index, journal, room, log });
    // A process that was killed may have left names that are not flushed yet; from here on they count.
    await disk.syncDirectory(dir);
    const storedFilesCount = (await storedFiles(dir)).length;
    const { onBroken } = options;
    const giveBack = unlock;
    const store = new DirectoryStore({ dir, tempDir, disk, index, journal, room, log, storedFilesCount, onBroken });
    return {
      store,
      close: async () => {
        await store.close();
        await commits.settled();
        await opened.close();
        giveBack();
      },
    };
  } catch (error) {
    await environment?.close();
    unlock?.();
    throw new DirectoryError(`cannot use the directory ${dir}: ${describe(error)}`, { cause: error });
  }
}

/** Makes the index, where there is none, and gives it its name when it is whole: LMDB cannot open one of which a power failure has left a part. */
async function makeIndex(indexDir: string, tempDir: string, disk: Disk): Promise<void> {
  const file = join(indexDir, "data.mdb");
  if (!existsSync(file)) {
    const draft = join(tempDir, "index");
    await open({ path: draft, noSubdir: true, ...indexOptions }).close();
    const made = await openFile(draft, "r+");
    await made.sync().finally(() => made.close());
    await disk.link(draft, file);
    for (const temporary of [draft, `${draft}-lock`]) await unlink(temporary);
  }
  await disk.syncDirectory(indexDir);
}

async function sweep(tempDir: string, log: Logger): Promise<void> {
  const names = await readdir(tempDir);
  for (const name of names) await unlink(join(tempDir, name));
  if (names.length > 0) log.info({ removed: names.length, names: names.slice(0, maxLoggedNames) }, "swept temp files");
}

async function wipe(dir: string, index: FileIndex, journal: FileJournal, log: Logger): Promise<void> {
  // First, so that a crash in the middle brings nothing back.
  journal.clear();
  const names = (await storedFiles(dir)).map(({ name }) => name);
  for (const name of names) await unlink(join(dir, name));
  const records = index.clear();
  log.warn({ removed: names.length, names: names.slice(0, maxLoggedNames), records }, "wiped stored files");
}

/** The regular files whose names begin as those of stored files do; whatever else lies there is not ours. */
async function storedFiles(dir: string): Promise<Dirent[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && storedNamePattern.test(entry.name));
}

function describe(error: unknown): string {
  switch (errorCode(error)) {
    case "EACCES":
    case "EPERM":
      return "no permission to write there";
    case "ENOTDIR":
    case "EEXIST":
      return "it, or something above it, is not a directory";
    case "EROFS":
      return "the file system is read-only";
    default:
      return describeError(error);
  }
}
