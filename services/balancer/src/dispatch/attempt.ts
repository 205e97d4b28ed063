import { type Kind, Kind as KindCode, type SaveHeader } from "@bilancia/proto/gen/storage";
import { batchTargetBytes } from "@bilancia/proto/limits";
import type { Clock } from "../ports/clock.js";
import { ContentUnreadable } from "../ports/content.js";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { Delivery } from "../ports/outbox.js";
import type { SaveOutcome, SaveStream } from "./save-stream.js";
import type { StorageLink } from "./storage-link.js";

/** What came of an attempt. */
export interface AttemptResult {
  /** `void`: the bytes stopped coming before the end, or could not be read, or the intent could not be recorded, so nothing was asked of the server. */
  readonly outcome: SaveOutcome | { readonly kind: "void"; readonly pauseMs: number };
  /** When its finish frame was sent, Unix time, in milliseconds; from then on the server may hold the file. */
  readonly finishSentMs?: number | undefined;
}

/**
 * Sends one upload to one server and waits for the answer. A file that fits into one message goes over the stream that small files share;
 * a larger one gets a stream of its own, and is sent while it still arrives. Never throws.
 */
export async function attemptDelivery(
  delivery: Delivery,
  attempt: number,
  link: StorageLink,
  ledger: LedgerIdentity,
  clock: Clock,
): Promise<AttemptResult> {
  let finishSentMs: number | undefined;
  try {
    const whole = await delivery.whole(batchTargetBytes);
    if (!whole) return await sendLarge(delivery, header(delivery, undefined, attempt, ledger), link.open(), clock);
    // The promise is only awaited where there is one: a small file costs no turn of the event loop here.
    const intent = delivery.intend();
    if (intent && !(await isRecorded(intent))) return unasked;
    const { data, crc32c } = whole;
    // Only now: while the intent was written, the stream may have become one that takes nothing more.
    const stream = link.shared;
    finishSentMs = clock.nowMs();
    const outcome = stream.expect(delivery.requestNumber);
    stream.push({ header: header(delivery, data.length, attempt, ledger), offset: 0, data, crc32c, finish: {} });
    stream.finished(delivery.requestNumber);
    return { outcome: await outcome, finishSentMs };
  } catch (error) {
    if (error instanceof ContentUnreadable) return unreadable;
    return { outcome: { kind: "lost", message: error instanceof Error ? error.message : String(error) }, finishSentMs };
  }
}

async function sendLarge(
  delivery: Delivery,
  saveHeader: SaveHeader,
  stream: SaveStream,
  clock: Clock,
): Promise<AttemptResult> {
  const reader = delivery.read();
  let finishSentMs: number | undefined;
  let outcome: SaveOutcome | undefined;
  let goOn: (() => void) | undefined;
  const answered = stream.expect(delivery.requestNumber).then((settled) => {
    outcome = settled;
    // An early answer (a duplicate, a refusal) must not wait for a client that is slow.
    reader.close();
    goOn?.();
    return settled;
  });
  try {
    stream.push({ header: saveHeader, offset: 0, data: noBytes });
    while (!outcome) {
      const content = await reader.next();
      if (outcome) break;
      if (content.kind === "broken") {
        stream.cancel();
        return unasked;
      }
      if (content.kind === "end") {
        const intent = delivery.intend();
        if (intent && !(await isRecorded(intent))) return unasked;
        finishSentMs = clock.nowMs();
        const { sizeBytes, sha256 } = content;
        stream.push({ offset: sizeBytes, data: noBytes, finish: { sizeBytes: BigInt(sizeBytes), sha256 } });
        stream.finished(delivery.requestNumber);
        stream.end();
        break;
      }
      const { chunk } = content;
      const room = chunk.raw ? stream.pushRaw(chunk.raw) : stream.push(chunk);
      if (room) continue;
      // A race with `answered` would leave something of each chunk with it until the file's end.
      await new Promise<void>((resolve) => {
        goOn = resolve;
        void stream.ready().then(resolve);
      });
    }
    return { outcome: await answered, finishSentMs };
  } finally {
    reader.close();
    if (finishSentMs === undefined) stream.cancel();
  }
}

/** The upload is given back as it was. Where it could not be recorded, it is the queue that pauses. */
const unasked: AttemptResult = { outcome: { kind: "void", pauseMs: 0 } };

/** Something may be short that the balancer needs: the upload waits, and no attempt is counted. */
const unreadable: AttemptResult = { outcome: { kind: "void", pauseMs: 1_000 } };

/** Whether an intent has become durable. Why it has not is the queue's to report. */
function isRecorded(intent: Promise<void>): Promise<boolean> {
  return intent.then(
    () => true,
    () => false,
  );
}

const noBytes = new Uint8Array(0);

function header(
  { requestNumber, description, sha256 }: Delivery,
  sizeBytes: number | undefined,
  attempt: number,
  { origin, term }: LedgerIdentity,
): SaveHeader {
  const { uploadId, name, contentType, kind, labels } = description;
  const size = sizeBytes ?? description.sizeBytes;
  return {
    origin,
    requestNumber,
    uploadId,
    attempt,
    term: BigInt(term),
    name,
    sizeBytes: size === undefined ? undefined : BigInt(size),
    sha256,
    contentType,
    kind: kindCode(kind),
    labels: { ...labels },
  };
}

/** A kind as the wire names it. */
export function kindCode(kind: Delivery["description"]["kind"]): Kind {
  return kind === "text_document" ? KindCode.KIND_TEXT_DOCUMENT : KindCode.KIND_BINARY;
}
