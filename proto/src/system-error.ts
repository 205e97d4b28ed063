/** The `code` of a system error, for example `ENOSPC`; empty for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether there was no room for a write, which then left nothing behind. */
export function isFull(error: unknown): boolean {
  // LMDB gives the number of the error, Node its name.
  const enospc = "28";
  return ["ENOSPC", "EDQUOT", enospc].includes(errorCode(error));
}

const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
  EMFILE: "too many open files",
  ENOSPC: "no space left on the disk",
  EDQUOT: "no space left on the disk",
  EIO: "the disk failed",
  ELOOP: "too many symbolic links",
};

/** What went wrong, in words for people; never a stack trace. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { syscall, path } = error as NodeJS.ErrnoException;
  // A file stands in place of a folder that is to be made, or to be there.
  if (errorCode(error) === "EEXIST" && syscall === "mkdir") return `${path} is not a folder`;
  return systemErrors[errorCode(error)] ?? error.message;
}
