import { execFile } from "node:child_process";
import { promisify } from "node:util";

/**
 * Waits until a file system has written and removed all it was told to. Without it whoever flushes next pays for what others left: removing a
 * gigabyte can hold up the flushes of several seconds.
 */
export async function settleDisk(path: string): Promise<void> {
  await promisify(execFile)("sync", ["-f", path]);
}
