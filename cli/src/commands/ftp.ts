import { fileSource } from "../client/file-source.js";
import type { UploadSource } from "../client/upload-source.js";
import type { AckStage } from "../client/upload-types.js";
import { type CommandContext, UsageError } from "./command-context.js";
import { describeFile, kindByName } from "./document-kind.js";
import { draw, seededRandom } from "./draw.js";
import type { FilePriorities } from "./file-priorities.js";
import { type FolderFile, listFolder } from "./folder.js";
import { sendFiles } from "./send-files.js";

/** What `ftp` is asked to do. */
export interface FtpOptions {
  /** How many files to draw, from 1. */
  readonly count: number;
  /** The folder to draw from. */
  readonly dir: string;
  /** Makes the draw repeatable. */
  readonly seed?: number | undefined;
  /** Whether a file may be drawn more than once. */
  readonly repeat: boolean;
  readonly ack: AckStage;
  readonly priority: FilePriorities;
}

/** Sends files drawn at random from a folder. Returns the exit code. @throws UsageError and what `sendFiles` throws */
export async function ftp(options: FtpOptions, context: CommandContext, signal: AbortSignal): Promise<number> {
  const { count, dir, seed, repeat, ack, priority } = options;
  const files = await listFolder(dir, "--dir");
  if (!repeat && count > files.length)
    throw new UsageError(
      `--count: with --no-repeat expected at most ${files.length}, the number of files in '${dir}'; got ${count}`,
    );
  const drawn = draw(files, count, repeat, seed === undefined ? Math.random : seededRandom(seed));
  const bytes = drawn.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return sendFiles({ sources: sourcesOf(drawn, priority), expected: { files: count, bytes }, ack }, context, signal);
}

async function* sourcesOf(
  files: readonly FolderFile[],
  priority: FilePriorities,
): AsyncGenerator<UploadSource, void, void> {
  for (const { path, name } of files)
    yield await fileSource(path, describeFile(name, kindByName(name), priority.of(name)));
}
