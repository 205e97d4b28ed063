import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { fileNameProblem } from "@bilancia/proto/file-name";
import { describeError } from "@bilancia/proto/system-error";
import { fileSource, type NotedFile, unreadableSource } from "../client/file-source.js";
import { type SpooledSource, spoolStream } from "../client/spooled-source.js";
import type { DocumentKind, UploadSource } from "../client/upload-source.js";
import type { AckStage, UploadResult } from "../client/upload-types.js";
import { printable } from "../output/human.js";
import { type CommandContext, exitCode, UsageError } from "./command-context.js";
import { describeFile, kindByContent } from "./document-kind.js";
import type { FilePriorities } from "./file-priorities.js";
import { type FolderFile, walkFolder } from "./folder.js";
import { defaultStateFile, ResumeState } from "./resume-state.js";
import { sendFiles } from "./send-files.js";

/** What `upload` is asked to do. */
export interface UploadCommandOptions {
  /** Files, folders, `-` for standard input. */
  readonly paths: readonly string[];
  readonly recursive: boolean;
  /** The name for what comes from standard input. */
  readonly name: string;
  /** `auto` looks into each file. */
  readonly kind: DocumentKind | "auto";
  readonly ack: AckStage;
  readonly priority: FilePriorities;
  /** Whether to go on with what an earlier run began. */
  readonly resume: boolean;
  /** Where that is remembered; given, it asks for `resume`. Default: in the user's state folder. */
  readonly stateFile?: string;
}

/** Files that are made ready together: the state file is written once for them. */
const readyCount = 256;

type Target =
  | { readonly type: "file"; readonly file: FolderFile }
  | { readonly type: "folder"; readonly path: string }
  | { readonly type: "input" };

/** Sends files, folders and standard input. Returns the exit code. @throws UsageError and what `sendFiles` throws */
export async function upload(
  options: UploadCommandOptions,
  stdin: Readable,
  context: CommandContext,
  signal: AbortSignal,
): Promise<number> {
  const targets: Target[] = [];
  for (const path of options.paths) targets.push(await targetOf(path, options.recursive));
  if (targets.filter(({ type }) => type === "input").length > 1)
    throw new UsageError("PATH: '-' (standard input) is given more than once; expected at most once");
  const folders = targets.flatMap((target) => (target.type === "folder" ? [target.path] : []));
  if (folders.length === targets.length) await assertSomeFile(folders);
  const state = await openState(options, context);
  let spooled: SpooledSource | undefined;
  try {
    if (targets.some(({ type }) => type === "input")) spooled = await spoolInput(options, stdin, signal);
    const shipment = {
      sources: state
        ? savedFirst(sourcesOf(targets, options, context.balancer, spooled, state), state)
        : sourcesOf(targets, options, context.balancer, spooled),
      expected: folders.length === 0 ? expectedOf(targets, spooled) : {},
      ack: options.ack,
      onResult: (result: UploadResult) => {
        if (result.state !== "failed" || result.answered) state?.forget(result.uploadId);
      },
    };
    return await sendFiles(shipment, context, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    context.screen.remark("stopped: nothing was sent");
    return exitCode.interrupted;
  } finally {
    await state?.save();
    await spooled?.close();
  }
}

async function openState(
  { resume, stateFile }: UploadCommandOptions,
  { screen }: CommandContext,
): Promise<ResumeState | undefined> {
  if (!resume && stateFile === undefined) return undefined;
  const warn = (text: string) => screen.remark(`${screen.paintSide("yellow", "warning:")} ${printable(text)}`);
  return ResumeState.open(stateFile ?? defaultStateFile(process.env), Date.now(), warn);
}

/** Gives the sources on in groups, after their ids are on disk. */
async function* savedFirst(
  sources: AsyncIterable<UploadSource>,
  state: ResumeState,
): AsyncGenerator<UploadSource, void, void> {
  let ready: UploadSource[] = [];
  for await (const source of sources) {
    ready.push(source);
    if (ready.length < readyCount) continue;
    await state.save();
    yield* ready;
    ready = [];
  }
  await state.save();
  yield* ready;
}

async function targetOf(path: string, recursive: boolean): Promise<Target> {
  if (path === "-") return { type: "input" };
  const found = await stat(path).catch((error: unknown) => {
    throw new UsageError(`PATH: cannot read '${path}': ${describeError(error)}`, { cause: error });
  });
  if (found.isDirectory()) {
    if (!recursive) throw new UsageError(`PATH: '${path}' is a folder; expected a file, or -r to send what is in it`);
    return { type: "folder", path };
  }
  if (!found.isFile()) throw new UsageError(`PATH: '${path}' is neither a regular file nor a folder`);
  return { type: "file", file: { path, name: basename(path), sizeBytes: found.size } };
}

/** An upload that consists of nothing but empty folders is a mistake. */
async function assertSomeFile(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for await (const _file of walkFolder(folder)) return;
  }
  const names = folders.map((folder) => `'${folder}'`).join(", ");
  throw new UsageError(`PATH: there is no file in ${names}; expected at least one (hidden ones do not count)`);
}

async function spoolInput(
  { name, kind, priority }: UploadCommandOptions,
  stdin: Readable,
  signal: AbortSignal,
): Promise<SpooledSource> {
  const problem = fileNameProblem(name);
  if (problem) throw new UsageError(`--name: ${problem}`);
  // Nothing is known of the input but its name, and it is not looked into: it is text only where that is said.
  const description = describeFile(name, kind === "text" ? "text" : "binary", priority.of(name));
  return spoolStream(addAbortSignal(signal, stdin), description);
}

function expectedOf(targets: readonly Target[], spooled: SpooledSource | undefined) {
  const bytes = targets.reduce(
    (sum, target) => sum + (target.type === "file" ? target.file.sizeBytes : (spooled?.sizeBytes ?? 0)),
    0,
  );
  return { files: targets.length, bytes };
}

async function* sourcesOf(
  targets: readonly Target[],
  options: UploadCommandOptions,
  balancer: string,
  spooled: SpooledSource | undefined,
  state?: ResumeState,
): AsyncGenerator<UploadSource, void, void> {
  for (const target of targets) {
    if (target.type === "file") yield await sourceOf(target.file, options, balancer, state);
    else if (target.type === "folder")
      for await (const file of walkFolder(target.path)) yield await sourceOf(file, options, balancer, state);
    else if (spooled) yield spooled;
  }
}

async function sourceOf(
  file: FolderFile,
  { kind, ack, priority }: UploadCommandOptions,
  balancer: string,
  state: ResumeState | undefined,
): Promise<UploadSource> {
  const real = kind === "auto" ? await kindByContent(file.path, file.name, file.sizeBytes) : kind;
  const description = describeFile(file.name, real, priority.of(file.name));
  if (file.problem !== undefined) return unreadableSource(file.path, description, file.problem);
  const path = resolve(file.path);
  const identify =
    state && ((noted: NotedFile) => state.identify({ balancer, path, ...noted, kind: real, ack }, Date.now()));
  return fileSource(file.path, description, identify);
}
