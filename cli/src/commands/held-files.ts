import { type QueryUploadResponse, UploadState } from "@bilancia/proto/gen/balancer";
import type { UnansweredFile } from "../client/upload-types.js";
import type { HeldFile } from "../output/held-report.js";

/** How long the balancer is asked: whoever presses Ctrl-C does not want to wait. In milliseconds. */
const askForMs = 1_000;

/** Questions at a time. */
const askCount = 16;

/** What the balancer has of files that were stopped. It is asked; of what it has no answer for in time, what is known here counts. */
export async function heldFiles(
  files: readonly UnansweredFile[],
  ask: (uploadId: string) => Promise<QueryUploadResponse | undefined>,
): Promise<HeldFile[]> {
  const held = new Map<UnansweredFile, HeldFile | undefined>(files.map((file) => [file, asKnown(file)]));
  const left = files.values();
  let over = false;
  const askOn = async () => {
    for (const file of left) {
      if (over) return;
      try {
        const answer = await ask(file.uploadId);
        if (!over) held.set(file, asAnswered(file, answer));
      } catch {
        // There is nobody to answer the others either.
        return;
      }
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, askForMs);
  });
  await Promise.race([Promise.all(Array.from({ length: askCount }, askOn)), late]);
  over = true;
  clearTimeout(timer);
  return [...held.values()].filter((file) => file !== undefined);
}

function asKnown({ uploadId, requestNumber, name, sizeBytes, allSent }: UnansweredFile): HeldFile {
  return {
    uploadId,
    requestNumber: requestNumber === 0n ? undefined : requestNumber,
    name,
    sizeBytes,
    whole: allSent,
  };
}

/** `undefined`: the balancer does not know it, or has given it up. */
function asAnswered(file: UnansweredFile, answer: QueryUploadResponse | undefined): HeldFile | undefined {
  if (!answer || answer.state === UploadState.UPLOAD_STATE_DEAD) return undefined;
  const { requestNumber, state, sizeBytes, persistedBytes } = answer;
  // What has all its bytes may be about to be queued.
  const whole = state !== UploadState.UPLOAD_STATE_RECEIVING || (file.allSent && persistedBytes === sizeBytes);
  return { ...asKnown(file), requestNumber, whole };
}
