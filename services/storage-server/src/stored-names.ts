import { extname } from "node:path";

/** How the name of a stored file begins. */
export const storedNamePattern = /^[0-9]+_/;

/** The names a file may be stored under, in the order in which they are tried: one that is taken by another file is left to it. */
export function storedNames(plainName: string, origin: string): string[] {
  const extension = extname(plainName);
  const stem = plainName.slice(0, plainName.length - extension.length);
  return [plainName, `${stem}~${origin.slice(0, 8)}${extension}`];
}
