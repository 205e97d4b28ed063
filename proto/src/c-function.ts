import type Koffi from "koffi";
import type { LibraryHandle } from "koffi";

type CFunction = ReturnType<LibraryHandle["func"]>;

/**
 * A function of the C library for which Node has no call.
 *
 * @param declaration as C has it: `int syncfs(int fd)`
 * @returns `undefined` where there is no such function, or no build of koffi for this machine
 */
export async function findCFunction(declaration: string): Promise<CFunction | undefined> {
  const koffi = await findKoffi();
  try {
    return koffi?.load(null).func(declaration);
  } catch {
    return undefined;
  }
}

/** Which error the last call of a C function ended with, as the system numbers them (`os.constants.errno`): to be asked right after it. */
export async function findErrorNumber(): Promise<(() => number) | undefined> {
  const koffi = await findKoffi();
  return koffi && (() => koffi.errno());
}

async function findKoffi(): Promise<typeof Koffi | undefined> {
  try {
    return (await import("koffi")).default;
  } catch {
    return undefined;
  }
}
