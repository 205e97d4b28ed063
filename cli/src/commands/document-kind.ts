import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { FileDescription } from "../client/file-source.js";
import type { DocumentKind, UploadPriority } from "../client/upload-source.js";

/** Files over this are not looked into: they are taken for binary. In bytes. */
const readableLimitBytes = 1024 * 1024;

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

/** The kind a file really is: a text document has the right name, a moderate size, and a title and a content in JSON. */
export async function kindByContent(path: string, name: string, sizeBytes: number): Promise<DocumentKind> {
  // What has no length may be a pipe, which would be waited for.
  if (kindByName(name) !== "text" || sizeBytes === 0 || sizeBytes > readableLimitBytes) return "binary";
  try {
    return isTextDocument(await readFile(path, "utf8")) ? "text" : "binary";
  } catch {
    // The upload will meet the same trouble, and tell of it.
    return "binary";
  }
}

function isTextDocument(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return false;
    const { title, titolo, content, contenuto } = value as Record<string, unknown>;
    return typeof (title ?? titolo) === "string" && typeof (content ?? contenuto) === "string";
  } catch {
    return false;
  }
}
