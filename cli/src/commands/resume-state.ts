import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { isUuid } from "@bilancia/proto/header-rules";
import { describeError, errorCode } from "@bilancia/proto/system-error";
import type { DocumentKind, UploadIdentity } from "../client/upload-source.js";
import type { AckStage } from "../client/upload-types.js";
import { UsageError } from "./command-context.js";
import { linkTarget } from "./link-target.js";

/** What makes two uploads the same one: the same bytes, as far as can be told without reading them, to the same place. */
export interface ResumeKey {
  /** The balancer's address, `host:port`. */
  readonly balancer: string;
  /** Absolute. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly kind: DocumentKind;
  readonly ack: AckStage;
}

interface Entry extends ResumeKey {
  readonly uploadId: string;
  readonly begunAtMs: number;
}

/** Entries older than this are of no use: the balancer has forgotten the upload. */
const maxAgeMs = 14 * 24 * 3600 * 1000;
const version = 1;

/** Where the state is kept when nothing else is said: in the user's folder for such files. */
export function defaultStateFile(env: NodeJS.ProcessEnv): string {
  const { XDG_STATE_HOME: stateHome } = env;
  // A relative one is to be ignored, says the XDG specification.
  const base = stateHome && path.isAbsolute(stateHome) ? stateHome : path.join(homedir(), ".local", "state");
  return path.join(base, "bilancia", ".lb-cli-resume.json");
}

/** The upload ids of files without a final answer, in a file, so that a later run goes on with them under the same ids. */
export class ResumeState {
  /** As it was named, for people. */
  readonly #name: string;
  /** Where that leads over symbolic links; `undefined`: it is not to be written, because what is there could not be read. */
  readonly #file: string | undefined;
  readonly #warn: (text: string) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #keys = new Map<string, string>();
  #dirty = false;

  private constructor(name: string, file: string | undefined, warn: (text: string) => void) {
    this.#name = name;
    this.#file = file;
    this.#warn = warn;
  }

  /**
   * Reads the file. One that is missing is empty; one that is no state file is warned of and moved aside.
   *
   * @throws UsageError for a folder, a device and whatever else is no regular file
   */
  static async open(name: string, nowMs: number, warn: (text: string) => void): Promise<ResumeState> {
    let file: string;
    let text: string;
    try {
      file = await linkTarget(name);
      await assertRegular(file, name);
      text = await readFile(file, "utf8");
    } catch (error) {
      if (error instanceof UsageError) throw error;
      if (errorCode(error) === "ENOENT") return new ResumeState(name, await linkTarget(name), warn);
      warn(`cannot read the state file '${name}' (${describeError(error)}); this upload cannot be resumed`);
      return new ResumeState(name, undefined, warn);
    }
    let entries: Entry[];
    try {
      entries = parseEntries(text);
    } catch (error) {
      return new ResumeState(name, await moveAside(file, name, describeError(error), nowMs, warn), warn);
    }
    const state = new ResumeState(name, file, warn);
    for (const entry of entries) {
      if (nowMs - entry.begunAtMs < maxAgeMs) state.#keep(entry);
    }
    return state;
  }

  /** The id under which a file is, or is to be, uploaded. Call `save` before it is used. */
  identify(key: ResumeKey, nowMs: number): UploadIdentity {
    const known = this.#entries.get(keyText(key));
    if (known) return { uploadId: known.uploadId, known: true };
    const entry: Entry = { ...key, uploadId: randomUUID(), begunAtMs: nowMs };
    this.#keep(entry);
    this.#dirty = true;
    return { uploadId: entry.uploadId, known: false };
  }

  /** The upload has its final answer. */
  forget(uploadId: string): void {
    const key = this.#keys.get(uploadId);
    if (key === undefined) return;
    this.#keys.delete(uploadId);
    this.#entries.delete(key);
    this.#dirty = true;
  }

  /** Writes what has changed, whole or not at all. A file that cannot be written is warned of: the upload goes on without it. */
  async save(): Promise<void> {
    const file = this.#file;
    if (!this.#dirty || file === undefined) return;
    this.#dirty = false;
    const partial = `${file}.${randomUUID().slice(0, 8)}.part`;
    try {
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(partial, JSON.stringify({ version, uploads: [...this.#entries.values()] }), { mode: 0o600 });
      await rename(partial, file);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => undefined);
      this.#warn(
        `cannot write the state file '${this.#name}' (${describeError(error)}); this upload cannot be resumed`,
      );
    }
  }

  #keep(entry: Entry): void {
    const key = keyText(entry);
    this.#entries.set(key, entry);
    this.#keys.set(entry.uploadId, key);
  }
}

function keyText({ balancer, path: file, sizeBytes, mtimeMs, kind, ack }: ResumeKey): string {
  return JSON.stringify([balancer, file, sizeBytes, mtimeMs, kind, ack]);
}

/** @throws UsageError, and the system's error where nothing can be found out */
async function assertRegular(file: string, name: string): Promise<void> {
  const found = await stat(file);
  if (found.isFile()) return;
  const what = found.isDirectory() ? "a folder" : "no regular file";
  throw new UsageError(`--state-file: '${name}' is ${what}; expected a state file, or a name that is free`);
}

/** Gives a file that is no state file another name: it may be anything of the user's. Returns where the state may be written then. */
async function moveAside(
  file: string,
  name: string,
  why: string,
  nowMs: number,
  warn: (text: string) => void,
): Promise<string | undefined> {
  const aside = `${file}.damaged-${nowMs}`;
  try {
    await rename(file, aside);
  } catch (error) {
    warn(
      `cannot use the state file '${name}' (${why}), nor move it aside (${describeError(error)}); this upload cannot be resumed`,
    );
    return undefined;
  }
  warn(`cannot use the state file '${name}' (${why}), so it is now '${aside}'; starting anew, without resuming`);
  return file;
}

/** @throws Error that says what is wrong */
function parseEntries(text: string): Entry[] {
  let content: { version?: unknown; uploads?: unknown } | null;
  try {
    content = JSON.parse(text) as typeof content;
  } catch (error) {
    throw new Error("it is no JSON", { cause: error });
  }
  if (content?.version !== version || !Array.isArray(content.uploads))
    throw new Error(`expected an object with version ${version} and uploads`);
  const entries = content.uploads as unknown[];
  if (!entries.every(isEntry)) throw new Error("an upload in it is incomplete");
  return entries;
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const { balancer, path: file, sizeBytes, mtimeMs, kind, ack, uploadId, begunAtMs } = value as Record<string, unknown>;
  return (
    [balancer, file, kind, ack].every((text) => typeof text === "string") &&
    [sizeBytes, mtimeMs, begunAtMs].every((number) => typeof number === "number") &&
    typeof uploadId === "string" &&
    isUuid(uploadId)
  );
}
