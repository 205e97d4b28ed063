import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { describeError, errorCode } from "@bilancia/proto/system-error";
import { UsageError } from "./command-context.js";
import { linkTarget } from "./link-target.js";

/** Takes the bytes as they come. */
export interface Sink {
  write(data: Uint8Array): Promise<void>;
}

/** What is under a name now. @throws UsageError for what cannot be written to, or must not be without `force` */
export async function checkTarget(target: string, force: boolean): Promise<Stats | undefined> {
  let there: Stats;
  try {
    there = await stat(target);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw cannotWrite(target, error);
  }
  if (there.isDirectory()) throw new UsageError(`--output: '${target}' is a folder; expected the name of a file`);
  if (!force) throw existsAlready(target);
  return there;
}

/**
 * The file that an export is written to, under a name of its own beside the one that it is to have; it gets that one when all is there.
 * What is there and is no regular file, as a pipe or a device, is written to as the bytes come: it must not be replaced by a file.
 */
export class ExportTarget implements Sink {
  readonly #force: boolean;
  /** The name that the file is to have: where the target leads, over symbolic links. */
  #final = "";
  #partial: string | undefined;
  #handle: FileHandle | undefined;

  constructor(force: boolean) {
    this.#force = force;
  }

  /** @throws UsageError */
  async open(target: string): Promise<void> {
    const there = await checkTarget(target, this.#force);
    try {
      if (there && !there.isFile()) {
        this.#handle = await open(target, constants.O_WRONLY);
        return;
      }
      this.#final = await linkTarget(target);
      const name = `.${path.basename(this.#final)}.${randomUUID().slice(0, 8)}.part`;
      const partial = path.join(path.dirname(this.#final), name);
      this.#handle = await open(partial, "wx");
      this.#partial = partial;
    } catch (error) {
      throw cannotWrite(target, error);
    }
  }

  async write(data: Uint8Array): Promise<void> {
    try {
      await this.#handle?.writeFile(data);
    } catch (error) {
      throw new Error(`cannot write the file: ${describeError(error)}`, { cause: error });
    }
  }

  /** Gives it its name. Without `force` a file that has come there meanwhile stays. */
  async finish(target: string): Promise<void> {
    if (this.#partial === undefined) return;
    await this.#handle?.sync();
    if (this.#force) {
      await rename(this.#partial, this.#final);
      return;
    }
    try {
      await link(this.#partial, this.#final);
    } catch (error) {
      if (errorCode(error) === "EEXIST") throw existsAlready(target);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    if (this.#partial !== undefined) await rm(this.#partial, { force: true });
  }
}

function existsAlready(target: string): UsageError {
  return new UsageError(`--output: '${target}' exists already; expected a new file, or --force to write there`);
}

function cannotWrite(target: string, error: unknown): UsageError {
  return new UsageError(`--output: cannot write '${target}': ${describeError(error)}`, { cause: error });
}
