import * as shared from "@bilancia/proto/folder";
import { flushed } from "./flush-failed.js";

/** Makes a folder, durably. @throws FlushFailed */
export function makeFolder(folder: string): Promise<void> {
  return shared.makeFolder(folder, syncFolder);
}

/** Flushes a folder itself. @throws FlushFailed */
export function syncFolder(folder: string): Promise<void> {
  return shared.syncFolder(folder, flushed);
}
