import { isFull } from "@bilancia/proto/system-error";

/** What a failed use of a disk means, for people: the system's words for a full one say neither what nor where. */
export function problemOf(error: unknown): string {
  if (isFull(error)) return "the disk is full";
  return error instanceof Error ? error.message : String(error);
}

/** Waits for something that is opened on disk. @throws Error that says what cannot be used, where its disk is full */
export async function openedOnDisk<T>(what: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    if (!isFull(error)) throw error;
    throw new Error(`cannot use ${what}: ${problemOf(error)}`, { cause: error });
  }
}
