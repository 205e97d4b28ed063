import { lstatSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { descriptorOf, parseCalls, type SystemCall, stringsOf } from "./strace-calls.js";

/** What a process did to the files and folders below one folder. Files and folders are numbered; 0 is that folder itself. */
export type DiskOperation =
  | {
      readonly kind: "write";
      readonly node: number;
      readonly offset: number;
      readonly bytes: Buffer;
      /** Whether it returned only when it was on disk (`O_DSYNC`). */
      readonly flushed: boolean;
    }
  | { readonly kind: "truncate"; readonly node: number; readonly length: number }
  /** Names that came into a folder or went from it, at one stroke. */
  | { readonly kind: "entries"; readonly node: number; readonly changes: ReadonlyMap<string, number | undefined> }
  /** A flush of one file or folder, or of the whole file system, of everything that had been done before operation `covers`. */
  | { readonly kind: "flush"; readonly node: number | "all"; readonly covers: number }
  /** A line that the process wrote into its file of marks: what it began, and what it acknowledged. */
  | { readonly kind: "mark"; readonly line: string };

/** A file or folder as it was before the record begins. */
export type FirstNode =
  | { readonly kind: "file"; readonly bytes: Buffer; readonly modifiedNs: bigint }
  | { readonly kind: "folder"; readonly entries: ReadonlyMap<string, number> };

/** What was there, what was done to it, and when each file was last written as the process itself has seen it. */
export interface DiskRecord {
  readonly before: ReadonlyMap<number, FirstNode>;
  readonly operations: readonly DiskOperation[];
  /** Which numbers are those of folders. */
  readonly folders: ReadonlySet<number>;
  readonly modifiedNs: ReadonlyMap<number, bigint>;
}

interface OpenFile {
  readonly node: number;
  readonly flushed: boolean;
  readonly append: boolean;
  position: number;
}

/** Calls that change nothing on disk by themselves. */
const harmless = new Set(["clone", "clone3", "fork", "vfork"]);

/**
 * The record of a process that was traced by strace.
 *
 * @param root the folder that is of interest, as it was named in the calls, and as it was before
 * @param marks the file of marks, outside of `root`
 * @throws Error on a call that changes something below `root` in a way that is not understood
 */
export function readRecord(
  trace: string,
  root: string,
  before: ReadonlyMap<number, FirstNode>,
  marks: string,
): DiskRecord {
  const calls = parseCalls(trace);
  const recorder = new Recorder(root, before, marks, processesOf(calls));
  for (const call of calls) recorder.take(call);
  return recorder.record;
}

/** What lies below a folder, with numbers of its own. */
export function readTree(root: string): Map<number, FirstNode> {
  const nodes = new Map<number, FirstNode>();
  let count = 0;
  const visit = (at: string): number => {
    const node = count++;
    if (lstatSync(at).isDirectory()) {
      nodes.set(node, { kind: "folder", entries: new Map() });
      const entries = new Map(
        readdirSync(at)
          .sort()
          .map((name) => [name, visit(path.join(at, name))]),
      );
      nodes.set(node, { kind: "folder", entries });
    } else {
      nodes.set(node, { kind: "file", bytes: readFileSync(at), modifiedNs: lstatSync(at, { bigint: true }).mtimeNs });
    }
    return node;
  };
  visit(root);
  return nodes;
}

/** Which process a thread belongs to: threads share their open files, processes do not. */
function processesOf(calls: readonly SystemCall[]): Map<number, number> {
  const processes = new Map<number, number>();
  for (const { name, thread, args, result } of calls) {
    if (/^(clone3?|v?fork)$/.test(name) && result > 0) {
      processes.set(result, args.includes("CLONE_THREAD") ? (processes.get(thread) ?? thread) : result);
    }
  }
  return processes;
}

class Recorder {
  readonly #root: string;
  readonly #marks: string;
  readonly #before: ReadonlyMap<number, FirstNode>;
  readonly #processes: ReadonlyMap<number, number>;
  readonly #operations: DiskOperation[] = [];
  /** How many operations there were when a call had finished. */
  readonly #operationsAt: number[] = [];
  readonly #open = new Map<string, OpenFile | "marks">();
  readonly #folders = new Map<number, Map<string, number>>();
  readonly #modifiedNs = new Map<number, bigint>();
  #nodesCount: number;

  constructor(root: string, before: ReadonlyMap<number, FirstNode>, marks: string, processes: Map<number, number>) {
    this.#root = root;
    this.#marks = marks;
    this.#before = before;
    this.#processes = processes;
    this.#nodesCount = before.size;
    for (const [node, first] of before) {
      if (first.kind === "folder") this.#folders.set(node, new Map(first.entries));
      else this.#modifiedNs.set(node, first.modifiedNs);
    }
  }

  get record(): DiskRecord {
    return {
      before: this.#before,
      operations: this.#operations,
      folders: new Set(this.#folders.keys()),
      modifiedNs: this.#modifiedNs,
    };
  }

  take(call: SystemCall): void {
    if (call.result >= 0) this.#take(call);
    this.#operationsAt.push(this.#operations.length);
  }

  #take(call: SystemCall): void {
    const { name, args, result } = call;
    switch (name) {
      case "openat":
      case "open":
        this.#opened(call);
        return;
      case "close":
        this.#open.delete(this.#key(call));
        return;
      case "write":
      case "writev":
      case "pwrite64":
      case "pwritev":
        this.#wrote(call);
        return;
      case "lseek": {
        const file = this.#open.get(this.#key(call));
        if (file && file !== "marks") file.position = result;
        return;
      }
      case "ftruncate": {
        const node = this.#nodeOf(call);
        const length = Number(/, (?:0x)?[0-9a-f]+$/.exec(args)?.[0].slice(2));
        if (node !== undefined) this.#operations.push({ kind: "truncate", node, length });
        return;
      }
      case "fsync":
      case "fdatasync": {
        const node = this.#nodeOf(call);
        if (node !== undefined) this.#flushed(node, call);
        return;
      }
      case "syncfs":
        this.#flushed("all", call);
        return;
      case "fstat":
      case "statx":
        this.#seen(call);
        return;
      case "mmap":
        // What is written through a mapping cannot be seen here. LMDB maps its lock file so, which means nothing after a crash.
        if (/PROT_WRITE.*MAP_SHARED/.test(args) && this.#concerns(args) && !args.includes(hexOf("/lock.mdb"))) {
          throw new Error("a file that is written through a mapping is not understood");
        }
        return;
      case "mkdir":
      case "mkdirat": {
        const place = this.#place(stringsOf(args)[0]);
        if (!place) return;
        const node = this.#nodesCount++;
        this.#folders.set(node, new Map());
        this.#enter(place.folder, [[place.name, node]]);
        return;
      }
      case "link":
      case "linkat": {
        const [from, to] = this.#places(args);
        if (to) this.#enter(to.folder, [[to.name, this.#find(from)]]);
        return;
      }
      case "unlink":
      case "unlinkat": {
        const place = this.#place(stringsOf(args)[0]);
        if (place) this.#enter(place.folder, [[place.name, undefined]]);
        return;
      }
      case "rename":
      case "renameat":
      case "renameat2":
        this.#renamed(args);
        return;
      default:
        if (!harmless.has(name) && this.#concerns(args))
          throw new Error(`a call that is not understood: ${name}(${args.slice(0, 200)})`);
    }
  }

  #opened(call: SystemCall): void {
    const { args, result } = call;
    const [bytes] = stringsOf(args);
    const key = this.#key(call, result);
    this.#open.delete(key);
    if (bytes?.toString() === this.#marks) this.#open.set(key, "marks");
    const place = this.#place(bytes);
    if (!place) return;
    let node = this.#find(place);
    if (node === undefined) {
      node = this.#nodesCount++;
      this.#enter(place.folder, [[place.name, node]]);
    } else if (args.includes("O_TRUNC")) this.#operations.push({ kind: "truncate", node, length: 0 });
    const flushed = /O_D?SYNC/.test(args);
    this.#open.set(key, { node, flushed, append: args.includes("O_APPEND"), position: 0 });
  }

  #wrote(call: SystemCall): void {
    const { name, args, result } = call;
    const file = this.#open.get(this.#key(call));
    if (!file) return;
    const bytes = Buffer.concat(stringsOf(args.slice(args.indexOf(",")))).subarray(0, result);
    if (file === "marks") {
      for (const line of bytes.toString().trimEnd().split("\n")) this.#operations.push({ kind: "mark", line });
      return;
    }
    if (file.append) throw new Error("a file that is only appended to is not understood");
    const positioned = name.startsWith("p");
    const offset = positioned ? Number(/, (\d+)$/.exec(args)?.[1]) : file.position;
    if (!positioned) file.position += result;
    this.#operations.push({ kind: "write", node: file.node, offset, bytes, flushed: file.flushed });
  }

  #renamed(args: string): void {
    const [from, to] = this.#places(args);
    if (!from && !to) return;
    const node = this.#find(from);
    if (!from || !to || node === undefined) throw new Error(`a rename that is not understood: ${args.slice(0, 200)}`);
    if (from.folder === to.folder) {
      this.#enter(to.folder, [
        [from.name, undefined],
        [to.name, node],
      ]);
      return;
    }
    // Two folders are two places on disk; a file system that keeps them together allows less than this.
    this.#enter(to.folder, [[to.name, node]]);
    this.#enter(from.folder, [[from.name, undefined]]);
  }

  #flushed(node: number | "all", { begunAt }: SystemCall): void {
    const covers = begunAt === 0 ? 0 : (this.#operationsAt[begunAt - 1] ?? 0);
    this.#operations.push({ kind: "flush", node, covers });
  }

  #seen(call: SystemCall): void {
    const node = this.#nodeOf(call);
    const [, seconds, nanoseconds] = /st(?:x)?_mtime=\{tv_sec=(\d+), tv_nsec=(\d+)\}/.exec(call.args) ?? [];
    if (node === undefined || seconds === undefined || nanoseconds === undefined) return;
    this.#modifiedNs.set(node, BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
  }

  #enter(folder: number, changes: [string, number | undefined][]): void {
    const entries = this.#folders.get(folder);
    for (const [name, node] of changes) {
      if (node === undefined) entries?.delete(name);
      else entries?.set(name, node);
    }
    this.#operations.push({ kind: "entries", node: folder, changes: new Map(changes) });
  }

  #key({ thread, args }: SystemCall, descriptor = descriptorOf(args)): string {
    return `${this.#processes.get(thread) ?? thread}:${descriptor}`;
  }

  #nodeOf(call: SystemCall): number | undefined {
    const file = this.#open.get(this.#key(call));
    return file === undefined || file === "marks" ? undefined : file.node;
  }

  #places(args: string): [Place | undefined, Place | undefined] {
    const [from, to] = stringsOf(args);
    return [this.#place(from), this.#place(to)];
  }

  /** Where a path leads, below the root. */
  #place(bytes: Buffer | undefined): Place | undefined {
    const full = bytes?.toString() ?? "";
    if (full === this.#root) return { folder: 0, name: "." };
    if (!full.startsWith(`${this.#root}/`)) return undefined;
    const names = full.slice(this.#root.length + 1).split("/");
    const name = names.pop() ?? "";
    let folder = 0;
    for (const step of names) {
      const next = this.#folders.get(folder)?.get(step);
      if (next === undefined) throw new Error(`${full} is in a folder that is not known`);
      folder = next;
    }
    return { folder, name };
  }

  #find(place: Place | undefined): number | undefined {
    if (place === undefined) return undefined;
    return place.name === "." ? place.folder : this.#folders.get(place.folder)?.get(place.name);
  }

  #concerns(args: string): boolean {
    return args.includes(hexOf(`${this.#root}/`));
  }
}

/** A text as strace prints it. */
function hexOf(text: string): string {
  return Array.from(Buffer.from(text), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

interface Place {
  readonly folder: number;
  readonly name: string;
}
