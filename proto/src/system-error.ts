/** The `code` of a system error, for example `ENOSPC`; empty for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether the system had no handle, or no memory, to spare: what was not done then can be done a little later. */
export function isShortage(error: unknown): boolean {
  return ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"].includes(errorCode(error));
}

/** Whether there was no room for a write, which then left nothing behind. Never so of LMDB's own errors: see `FileRoom`. */
export function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errorCode(error));
}

const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
  EMFILE: "too many open files",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk is full",
  EIO: "the disk failed",
  ELOOP: "too many symbolic links",
};

/** An error that says what cannot be used, and why, in words for people. */
export function cannotUse(what: string, error: unknown): Error {
  return new Error(`cannot use ${what}: ${describeError(error)}`, { cause: error });
}

/** What went wrong, in words for people; never a stack trace. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { syscall, path } = error as NodeJS.ErrnoException;
  if (syscall === "uv_cwd") return "the folder that it was started in is gone";
  // A file stands in place of a folder that is to be made, or to be there.
  if (errorCode(error) === "EEXIST" && syscall === "mkdir") return `${path} is not a folder`;
  return systemErrors[errorCode(error)] ?? error.message;
}
