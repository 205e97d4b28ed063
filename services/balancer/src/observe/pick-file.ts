import { type FileHandle, open, rename } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeFolder } from "@bilancia/proto/folder";
import type { PickEnd, PickRecord } from "../domain/pick.js";
import { type TracedGap, tracedEnd, tracedPick } from "../domain/pick-trace.js";
import type { Observer } from "../ports/observer.js";
import type { PickLog } from "../ports/pick-log.js";

/** How long lines are gathered for one write, in milliseconds. */
const gatherMs = 100;
/** Lines in one write, so that putting them into words does not hold up the event loop. */
const maxBatch = 128;
/** Lines that wait at most; what comes on top is lost, and counted. */
const maxWaiting = 50_000;
/** How long a disk that fails is left alone, in milliseconds. */
const failedPauseMs = 1_000;

type Entry = { readonly pick: PickRecord } | { readonly end: PickEnd };

/**
 * The trace of choices, as a file with one JSON object a line (`domain/pick-trace.ts`). Lines wait in memory and are written in the background, and not flushed: this is no audit.
 * A file that is full is put aside as `<file>.1`, in place of the one before.
 */
export class PickFile implements PickLog {
  readonly #file: string;
  readonly #maxFileBytes: number;
  readonly #faults: Observer;
  #handle: FileHandle;
  #lengthBytes: number;
  #waiting: Entry[] = [];
  #lost = 0;
  #writing: Promise<void> | undefined;
  #failing = false;
  /** Whether a failed write may have left something behind. */
  #ragged = false;
  #closed = false;

  private constructor(file: string, handle: FileHandle, lengthBytes: number, maxFileBytes: number, faults: Observer) {
    this.#file = file;
    this.#handle = handle;
    this.#lengthBytes = lengthBytes;
    this.#maxFileBytes = maxFileBytes;
    this.#faults = faults;
  }

  /** Opens the file to go on at its end. @throws Error when it cannot be opened */
  static async open(file: string, maxFileBytes: number, faults: Observer): Promise<PickFile> {
    await makeFolder(path.dirname(file));
    const handle = await open(file, "a");
    const { size } = await handle.stat();
    return new PickFile(file, handle, size, maxFileBytes, faults);
  }

  picked(pick: PickRecord): void {
    this.#add({ pick });
  }

  ended(end: PickEnd): void {
    this.#add({ end });
  }

  /** Writes what waits, and closes the file. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#writeAll();
    const left = this.#waiting.length + this.#lost;
    if (left > 0) this.#fault("closing the trace of choices", new Error(`${left} lines could not be written`));
    await this.#handle.close().catch((error: unknown) => this.#fault("closing the trace of choices", error));
  }

  #add(entry: Entry): void {
    if (this.#closed || this.#waiting.length >= maxWaiting) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(entry);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    while (!this.#closed && this.#waiting.length > 0) {
      await delay(this.#failing ? failedPauseMs : gatherMs);
      await this.#writeAll();
    }
    this.#writing = undefined;
  }

  /** Writes until nothing waits, or the disk fails. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, maxBatch);
      const gap = this.#lost;
      const lines = batch.map(line);
      if (gap > 0) lines.push(`${JSON.stringify({ kind: "gap", lines: gap } satisfies TracedGap)}\n`);
      const bytes = Buffer.from(lines.join(""));
      try {
        if (this.#ragged) await this.#handle.truncate(this.#lengthBytes);
        this.#ragged = true;
        if (this.#lengthBytes >= this.#maxFileBytes) await this.#beginAnew();
        await this.#handle.appendFile(bytes);
        this.#ragged = false;
      } catch (error) {
        if (!this.#failing) this.#fault("writing the trace of choices", error);
        this.#failing = true;
        return;
      }
      this.#failing = false;
      this.#lengthBytes += bytes.length;
      this.#lost -= gap;
      this.#waiting.splice(0, batch.length);
    }
  }

  async #beginAnew(): Promise<void> {
    const aside = `${this.#file}.1`;
    await rename(this.#file, aside);
    const full = this.#handle;
    try {
      this.#handle = await open(this.#file, "a");
    } catch (error) {
      await rename(aside, this.#file);
      throw error;
    }
    this.#lengthBytes = 0;
    await full.close();
  }

  #fault(where: string, error: unknown): void {
    this.#faults.note({ kind: "fault", where, error });
  }
}

function line(entry: Entry): string {
  return `${JSON.stringify("pick" in entry ? tracedPick(entry.pick) : tracedEnd(entry.end))}\n`;
}
