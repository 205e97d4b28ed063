import { findCFunction } from "@bilancia/proto/c-function";

/** From this size on a buffer gets pages of its own, in bytes: glibc's own first choice. */
const ownPagesBytes = 128 * 1024;
/** `M_MMAP_THRESHOLD` of glibc, see mallopt(3). */
const mmapThreshold = -3;

/**
 * Has the C library give the memory of large buffers back to the system when they are freed. By itself glibc raises, with the first message of a file
 * that is freed, the size from which a buffer has pages of its own, and keeps the memory of all further ones among small things that live longer: a tenth of the process with a thousand
 * clients. Another C library keeps its own ways. To be called at the start.
 *
 * @returns whether it will
 */
export async function giveBackFreedBuffers(): Promise<boolean> {
  if (process.platform !== "linux") return false;
  const mallopt = await findCFunction("int mallopt(int param, int value)");
  return mallopt?.(mmapThreshold, ownPagesBytes) === 1;
}
