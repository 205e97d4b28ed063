import { readlink, realpath } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "@bilancia/proto/system-error";

/** Where a path leads in the end, over symbolic links; also where nothing is there yet. @throws the system's error, for example for a loop */
export async function linkTarget(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  const next = await readlink(file).catch(() => undefined);
  return next === undefined ? file : linkTarget(path.resolve(await realpath(path.dirname(file)), next));
}
