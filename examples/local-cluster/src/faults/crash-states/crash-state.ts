import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import path from "node:path";
import type { DiskOperation, DiskRecord } from "./disk-record.js";
import { FileImage } from "./file-image.js";

/** The least that a disk writes at one stroke, in bytes. */
export const sectorBytes = 512;

/**
 * What became of an operation on a file that no flush had covered when the power went: nothing of it, the file's new length alone, or only the sectors (counted from the
 * operation's first one) between two marks. `from` may lie behind `to`: then all but those in between.
 */
export type Fate = "dropped" | "length only" | { readonly from: number; readonly to: number };

/**
 * One way in which a crash may leave the disk: the first so many operations, less some of those that no flush had covered. What was written to files may be lost in any
 * combination; the names in one folder only from a moment on, for file systems write those in order.
 */
export interface CrashState {
  /** How many operations had been done. */
  readonly at: number;
  /** Operations on files that were lost in whole or in part, by index. All others were kept. */
  readonly fates: ReadonlyMap<number, Fate>;
  /** For some folders, by their number: from which operation on names in them were lost. */
  readonly namesUpTo: ReadonlyMap<number, number>;
}

/** When a rebuilt file was written: now, and in the life that the crash ended. In nanoseconds since 1970. */
export interface WrittenAt {
  readonly builtNs: bigint;
  readonly beforeNs: bigint;
}

interface CrashedFile {
  readonly image: FileImage;
  readonly digest: string;
}

const maxCachedFiles = 400;

/** The states in which a crash may leave a recorded folder. */
export class CrashStates {
  readonly #record: DiskRecord;
  /** For each operation, how many operations must have been done for it to be safe, whatever happens. */
  readonly #safeFrom: readonly number[];
  /** The operations on each file or folder, by index. */
  readonly #byNode = new Map<number, number[]>();
  readonly #files = new Map<string, CrashedFile>();
  /** By file: how it is after none, one, two of the operations on it. */
  readonly #keptImages = new Map<number, FileImage[]>();

  /** @param ignoreFlushes as if nothing had ever been flushed: the control of the test */
  constructor(record: DiskRecord, ignoreFlushes = false) {
    this.#record = record;
    this.#safeFrom = safeFrom(record.operations, ignoreFlushes);
    for (const [index, operation] of record.operations.entries()) {
      if (operation.kind === "flush" || operation.kind === "mark") continue;
      const indexes = this.#byNode.get(operation.node) ?? [];
      indexes.push(index);
      this.#byNode.set(operation.node, indexes);
    }
  }

  /** Operations that may be lost when so many had been done, by index. */
  pendingAt(at: number): number[] {
    const pending: number[] = [];
    for (let index = 0; index < at; index++) if (this.#mayBeLost(index, at)) pending.push(index);
    return pending;
  }

  /** Equal for states that are equal on disk. */
  digest(state: CrashState): string {
    const hash = createHash("sha1");
    this.#visit(state, {
      folder: (at) => hash.update(`${at}/\n`),
      file: (at, node) => hash.update(`${at} ${this.#file(node, state).digest}\n`),
    });
    return hash.digest("base64");
  }

  /**
   * Builds a state in an empty folder.
   *
   * @returns when files were last written before the crash, which a file made now cannot be told to the nanosecond: by their number in the file system
   */
  build(state: CrashState, root: string): Map<bigint, WrittenAt> {
    const times = new Map<bigint, WrittenAt>();
    this.#visit(state, {
      folder: (at) => {
        if (at !== "") mkdirSync(path.join(root, at));
      },
      file: (at, node) => {
        const full = path.join(root, at);
        this.#file(node, state).image.save(full);
        const seenNs = this.#record.modifiedNs.get(node);
        if (seenNs === undefined) return;
        const { ino, mtimeNs } = lstatSync(full, { bigint: true });
        times.set(ino, { builtNs: mtimeNs, beforeNs: seenNs });
      },
    });
    return times;
  }

  /** What the process had written into its file of marks. */
  marksAt(at: number): string[] {
    const operations = this.#record.operations.slice(0, at);
    return operations.flatMap((operation) => (operation.kind === "mark" ? [operation.line] : []));
  }

  #mayBeLost(index: number, at: number): boolean {
    return (this.#safeFrom[index] ?? 0) > at;
  }

  #visit(
    state: CrashState,
    visitor: { folder: (at: string) => unknown; file: (at: string, node: number) => unknown },
  ): void {
    const visit = (node: number, at: string) => {
      if (!this.#record.folders.has(node)) {
        visitor.file(at, node);
        return;
      }
      visitor.folder(at);
      const entries = [...this.#entries(node, state)].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [name, child] of entries) visit(child, path.join(at, name));
    };
    visit(0, "");
  }

  #entries(folder: number, { at, namesUpTo }: CrashState): Map<string, number> {
    const before = this.#record.before.get(folder);
    const entries = new Map(before?.kind === "folder" ? before.entries : []);
    const end = namesUpTo.get(folder) ?? at;
    for (const index of this.#byNode.get(folder) ?? []) {
      if (index >= at) break;
      if (index >= end && this.#mayBeLost(index, at)) continue;
      const operation = this.#record.operations[index];
      if (operation?.kind !== "entries") continue;
      for (const [name, child] of operation.changes) {
        if (child === undefined) entries.delete(name);
        else entries.set(name, child);
      }
    }
    return entries;
  }

  #file(node: number, { at, fates }: CrashState): CrashedFile {
    const indexes = (this.#byNode.get(node) ?? []).filter((index) => index < at);
    const lost = indexes.flatMap((index) => (fates.has(index) ? [`${index}${JSON.stringify(fates.get(index))}`] : []));
    const key = `${node} ${indexes.length} ${lost}`;
    const known = this.#files.get(key);
    if (known) return known;
    const firstLost = indexes.findIndex((index) => fates.has(index));
    const keptCount = firstLost === -1 ? indexes.length : firstLost;
    const image = new FileImage(this.#kept(node, keptCount));
    for (const index of indexes.slice(keptCount)) {
      const fate = fates.get(index);
      if (fate === "dropped") continue;
      apply(image, this.#record.operations[index] as DiskOperation, fate);
    }
    const file = { image, digest: image.digest() };
    if (this.#files.size >= maxCachedFiles) this.#files.clear();
    this.#files.set(key, file);
    return file;
  }

  /** A file after so many operations on it, none of them lost. */
  #kept(node: number, count: number): FileImage {
    let images = this.#keptImages.get(node);
    if (!images) {
      const first = new FileImage();
      const before = this.#record.before.get(node);
      if (before?.kind === "file") first.write(0, before.bytes);
      images = [first];
      this.#keptImages.set(node, images);
    }
    const indexes = this.#byNode.get(node) ?? [];
    for (let done = images.length - 1; done < count; done++) {
      const next = new FileImage(images[done]);
      apply(next, this.#record.operations[indexes[done] as number] as DiskOperation, undefined);
      images.push(next);
    }
    return images[count] as FileImage;
  }
}

function apply(image: FileImage, operation: DiskOperation, fate: Exclude<Fate, "dropped"> | undefined): void {
  if (operation.kind === "truncate") image.truncate(operation.length);
  if (operation.kind !== "write") return;
  const { offset, bytes } = operation;
  if (fate === undefined) {
    image.write(offset, bytes);
    return;
  }
  if (fate === "length only") {
    image.extend(offset + bytes.length);
    return;
  }
  const firstSector = Math.floor(offset / sectorBytes);
  const between = (from: number, to: number) => {
    const start = Math.max(offset, (firstSector + from) * sectorBytes);
    const end = Math.min(offset + bytes.length, (firstSector + to) * sectorBytes);
    if (end > start) image.write(start, bytes.subarray(start - offset, end - offset));
  };
  if (fate.from <= fate.to) between(fate.from, fate.to);
  else {
    between(0, fate.to);
    between(fate.from, Number.MAX_SAFE_INTEGER / sectorBytes / 2);
  }
}

function safeFrom(operations: readonly DiskOperation[], ignoreFlushes: boolean): number[] {
  const safe = operations.map(() => Number.POSITIVE_INFINITY);
  for (const [at, done] of operations.entries()) {
    if (done.kind === "mark" || done.kind === "flush") safe[at] = 0;
    if (ignoreFlushes) continue;
    if (done.kind === "write" && done.flushed) safe[at] = at + 1;
    if (done.kind !== "flush") continue;
    for (let index = 0; index < done.covers; index++) {
      const operation = operations[index] as DiskOperation;
      if (operation.kind === "flush" || operation.kind === "mark") continue;
      if (done.node === "all" || done.node === operation.node) safe[index] = Math.min(safe[index] ?? 0, at + 1);
    }
  }
  return safe;
}
