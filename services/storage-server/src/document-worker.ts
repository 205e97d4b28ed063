import { parentPort } from "node:worker_threads";
import type { RefuseReason } from "@bilancia/proto/gen/storage";
import { Refusal } from "./refusal.js";
import { type DocumentStats, readTextDocument } from "./text-document.js";

/** What became of one document. A refusal comes as its parts: a message takes no class with it. */
export type DocumentResult =
  | { readonly kind: "read"; readonly stats: DocumentStats }
  | { readonly kind: "refused"; readonly reason: RefuseReason; readonly message: string };

function read(bytes: Uint8Array): DocumentResult {
  try {
    return { kind: "read", stats: readTextDocument([bytes]) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { reason, message } = error;
    return { kind: "refused", reason, message };
  }
}

/** The body of the thread: reads the document of each message, and answers in their order. An error that is no refusal ends it. */
parentPort?.on("message", (bytes: Uint8Array) => parentPort?.postMessage(read(bytes)));
