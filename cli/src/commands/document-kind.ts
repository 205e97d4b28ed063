import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { FileDescription } from "../client/file-source.js";
import type { DocumentKind, UploadPriority } from "../client/upload-source.js";

/** Files over this are not looked into: they are taken for binary. Too small for the millions of values that a server may refuse. In bytes. */
const readableLimitBytes = 1024 * 1024;

/** Documents with more arrays and objects in one another are taken for binary: a storage server may refuse to read them. */
const depthLimit = 1_000;

const contentTypes: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".txt": "text/plain",
  ".md": "text/markdown",
  ".csv": "text/csv",
  ".html": "text/html",
  ".xml": "application/xml",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".svg": "image/svg+xml",
  ".zip": "application/zip",
  ".gz": "application/gzip",
};

/** What a file is called and taken for. Names go out in Unicode's composed form (NFC), whatever the file system uses. */
export function describeFile(name: string, kind: DocumentKind, priority: UploadPriority): FileDescription {
  const contentType = contentTypes[extname(name).toLowerCase()] ?? "application/octet-stream";
  return { name: name.normalize("NFC"), kind, contentType, priority };
}

/** The kind a file's name promises: `*.json` is a text document. */
export function kindByName(name: string): DocumentKind {
  return extname(name).toLowerCase() === ".json" ? "text" : "binary";
}

/** The kind a file really is: a text document has the right name, a moderate size, and is what the storage server takes for one. */
export async function kindByContent(path: string, name: string, sizeBytes: number): Promise<DocumentKind> {
  // What has no length may be a pipe, which would be waited for.
  if (kindByName(name) !== "text" || sizeBytes === 0 || sizeBytes > readableLimitBytes) return "binary";
  try {
    return isTextDocument(await readFile(path)) ? "text" : "binary";
  } catch {
    // The upload will meet the same trouble, and tell of it.
    return "binary";
  }
}

/** As strict as the storage server, which refuses for good what is no text document: sent as binary, it is taken. */
function isTextDocument(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || isNestedDeeper(text, depthLimit)) return false;
    const fields = value as Record<string, unknown>;
    return hasString(fields, "title", "titolo") && hasString(fields, "content", "contenuto");
  } catch {
    return false;
  }
}

/** The Italian name counts only where the English one is absent. */
function hasString(fields: Record<string, unknown>, name: string, italianName: string): boolean {
  const key = Object.hasOwn(fields, name) ? name : italianName;
  return Object.hasOwn(fields, key) && typeof fields[key] === "string";
}

/** Whether more arrays and objects than this lie in one another. Of the text, not the value, which has lost what a repeated key hid. */
function isNestedDeeper(json: string, limit: number): boolean {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < json.length; at++) {
    const found = json[at];
    if (found === '"') isInString = !isInString;
    else if (isInString) at += found === "\\" ? 1 : 0;
    else if (found === "{" || found === "[") depth++;
    else if (found === "}" || found === "]") depth--;
    if (depth > limit) return true;
  }
  return false;
}
