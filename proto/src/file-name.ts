import { maxNameBytes } from "./limits.js";

// Windows refuses these names whatever the extension and the case.
const deviceName = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controlCharacter = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
// Marks that reorder text on a screen, so that `exe.json` reads as `nosj.exe` (UAX #9).
const bidiCharacter = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
// A lone half of a surrogate pair cannot be written as UTF-8.
const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * Says what is wrong with a file's name, or `undefined` for a good one. A good name is NFC, 1-200 bytes of UTF-8, without path
 * separators, control or bidirectional characters, leading `.` or `-`, trailing `.` or blank, and is no Windows device name; so it means
 * the same file on every file system.
 *
 * @param maxBytes how many bytes of UTF-8 it may have, where that is not 200
 */
export function fileNameProblem(name: string, maxBytes = maxNameBytes): string | undefined {
  if (name === "") return `the name is empty; expected 1 to ${maxBytes} bytes of UTF-8`;
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
  if (loneSurrogate.test(name)) return `the name ${shown} is not valid Unicode`;
  const bytes = Buffer.byteLength(name);
  if (bytes > maxBytes) return `the name ${shown} has ${bytes} bytes of UTF-8; expected at most ${maxBytes}`;
  if (/[/\\]/.test(name)) return `the name ${shown} contains a path separator; expected a bare file name`;
  if (controlCharacter.test(name)) return `the name ${shown} contains a control character`;
  if (bidiCharacter.test(name)) return `the name ${shown} contains a bidirectional formatting character`;
  if (name.startsWith(".")) return `the name ${shown} begins with a dot`;
  if (name.startsWith("-")) return `the name ${shown} begins with a hyphen`;
  if (/[. ]$/.test(name)) return `the name ${shown} ends with a dot or a blank`;
  if (deviceName.test(name)) return `the name ${shown} is a device name on Windows`;
  if (name.normalize("NFC") !== name) return `the name ${shown} is not in Unicode normal form C (NFC)`;
  return undefined;
}
