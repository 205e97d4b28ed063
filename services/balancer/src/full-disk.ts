import { cannotUse, isFull } from "@bilancia/proto/system-error";

/** Waits for something that is opened on disk. @throws Error that says what cannot be used, where its disk is full: the system's words say neither what nor where */
export async function openedOnDisk<T>(what: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    throw isFull(error) ? cannotUse(what, error) : error;
  }
}
