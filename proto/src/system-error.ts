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
