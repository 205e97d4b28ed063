import { Kind, type SaveHeader, type SaveResponse } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import type { StorageClient } from "@bilancia/proto/services";

const origin = "0123456789abcdef0123456789abcdef";
const uploadId = "6f1e6a34-41b9-4c0a-9f6e-2d1b5a3c7e01";
const maxPartsPerMessage = 32;

/** What to send, and how. */
export interface StreamSaveOptions {
  readonly firstNumber: number;
  readonly filesCount: number;
  readonly data: Buffer;
  /** How many files may wait for their answer. */
  readonly maxOutstanding: number;
}

/** Saves files over one `Save` stream. Resolves once all are acknowledged. @throws when one is not */
export function saveOverStream(client: StorageClient, options: StreamSaveOptions): Promise<void> {
  const { firstNumber, filesCount, maxOutstanding, data } = options;
  return new Promise((resolve, reject) => {
    const call = client.save();
    let sentCount = 0;
    let savedCount = 0;
    const send = () => {
      while (sentCount < filesCount && sentCount - savedCount < maxOutstanding) {
        const parts: Part<SaveHeader>[] = [];
        const room = Math.min(maxPartsPerMessage, filesCount - sentCount, maxOutstanding - (sentCount - savedCount));
        while (parts.length < room) parts.push(wholeFile(firstNumber + sentCount++, data));
        call.write({ parts });
      }
    };
    call.on("data", ({ results }: SaveResponse) => {
      for (const { outcome } of results) {
        if (outcome?.$case === "accept") continue;
        if (outcome?.$case !== "saved") reject(new Error(`a file was answered with ${outcome?.$case}`));
        savedCount++;
      }
      if (savedCount === filesCount) {
        resolve();
        call.end();
      } else send();
    });
    call.on("error", reject);
    send();
  });
}

function wholeFile(number: number, data: Buffer): Part<SaveHeader> {
  const finish = { sizeBytes: BigInt(data.length), sha256: undefined };
  return {
    header: {
      ...{ origin, uploadId, requestNumber: BigInt(number), attempt: 1, term: 1n, name: "file.bin" },
      ...{ sizeBytes: BigInt(data.length), sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, labels: {} },
    },
    offset: 0,
    data,
    finish,
  };
}
