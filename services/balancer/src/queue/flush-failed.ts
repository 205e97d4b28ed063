/**
 * A flush to disk failed. It is never tried again: the kernel may have dropped what it could not write, and would then report success. So nothing can be promised any more until
 * the process is started anew.
 */
export class FlushFailed extends Error {}

/** Waits for a flush. @throws FlushFailed */
export async function flushed(flush: Promise<unknown>): Promise<void> {
  try {
    await flush;
  } catch (error) {
    throw new FlushFailed("a flush to disk failed", { cause: error });
  }
}
