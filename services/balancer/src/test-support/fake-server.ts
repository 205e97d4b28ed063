import { createHash } from "node:crypto";
import {
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  RefuseReason,
  type SaveHeader,
  type StatRequest,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import type { SaveOutcome } from "../dispatch/save-stream.js";

/** What becomes of a file that a fake server is to save, other than that it is saved. `lost`: it is saved, and the answer does not arrive. */
export type Misbehaviour = "lost" | "busy" | "refused";

interface Held {
  readonly uploadId: string;
  readonly fence: readonly [term: bigint, attempt: number];
  /** `undefined` where it has been discarded. */
  readonly bytes: Buffer | undefined;
}

/** A storage server in memory, with the rules of a real one for request numbers and fences. It outlives the balancers that use it. */
export class FakeServer {
  readonly #held = new Map<bigint, Held>();
  /** Whether it can be talked to. */
  up = true;
  overloaded = false;
  draining = false;
  /** What comes of the next files, one each. */
  readonly next: Misbehaviour[] = [];

  constructor(
    readonly name: string,
    readonly weight: number,
  ) {}

  /** The files that it holds, by request number. */
  get files(): ReadonlyMap<bigint, { readonly uploadId: string; readonly bytes: Buffer }> {
    const files = new Map<bigint, { uploadId: string; bytes: Buffer }>();
    for (const [number, { uploadId, bytes }] of this.#held) if (bytes) files.set(number, { uploadId, bytes });
    return files;
  }

  save(header: SaveHeader, bytes: Buffer): SaveOutcome {
    if (!this.up) return { kind: "lost", message: "the server is down" };
    const how = this.next.shift();
    if (how === "busy") return { kind: "busy", retryAfterMs: 0 };
    if (how === "refused") return refused(RefuseReason.REFUSE_REASON_NO_SPACE);
    const outcome = this.#save(header, bytes);
    return how === "lost" ? { kind: "lost", message: "the answer was lost" } : outcome;
  }

  stat({ requestNumber }: StatRequest): StatResponse {
    const held = this.#held.get(requestNumber);
    if (!held?.bytes) return { holding: Holding.HOLDING_NONE, file: undefined };
    const { uploadId, bytes, fence } = held;
    const [term, attempt] = fence;
    const file = { uploadId, storedName: `${requestNumber}_x`, sizeBytes: BigInt(bytes.length), sha256: sha256(bytes) };
    return {
      holding: Holding.HOLDING_STORED,
      file: { ...file, term, attempt, storedAt: undefined, textStats: undefined },
    };
  }

  discard({ requestNumber, uploadId, term, attempt }: DiscardRequest): DiscardResponse {
    const held = this.#held.get(requestNumber);
    if (held && isOlder([term, attempt], held.fence)) return { discarded: false };
    this.#held.set(requestNumber, { uploadId, fence: [term, attempt], bytes: undefined });
    return { discarded: held?.bytes !== undefined };
  }

  #save({ requestNumber, uploadId, term, attempt }: SaveHeader, bytes: Buffer): SaveOutcome {
    const held = this.#held.get(requestNumber);
    const fence = [term, attempt] as const;
    if (held && held.uploadId !== uploadId) return refused(RefuseReason.REFUSE_REASON_NUMBER_TAKEN);
    if (held && (isOlder(fence, held.fence) || (!held.bytes && !isOlder(held.fence, fence)))) {
      return refused(RefuseReason.REFUSE_REASON_STALE_ATTEMPT);
    }
    const kept = held?.bytes ?? bytes;
    this.#held.set(requestNumber, { uploadId, fence, bytes: kept });
    const saved = { storedName: `${requestNumber}_x`, sizeBytes: BigInt(kept.length), sha256: sha256(kept) };
    return { kind: "saved", saved: { ...saved, duplicate: held?.bytes !== undefined, textStats: undefined } };
  }
}

function refused(reason: RefuseReason): SaveOutcome {
  return { kind: "refused", reason, message: RefuseReason[reason] ?? "" };
}

function isOlder(a: Held["fence"], b: Held["fence"]): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
