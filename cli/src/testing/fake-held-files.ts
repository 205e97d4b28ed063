import { createHash } from "node:crypto";
import { extname } from "node:path";
import {
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  Kind,
  type RefuseReason,
  type SaveHeader,
  type StatRequest,
  type StatResponse,
  type TextStats,
} from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { type sendUnaryData, status } from "@grpc/grpc-js";
import { documentContent } from "./document-content.js";
import type { StorageFault } from "./storage-faults.js";

interface Fence {
  readonly term: bigint;
  readonly attempt: number;
}

interface Stored {
  readonly header: SaveHeader;
  readonly storedName: string;
  readonly sizeBytes: bigint;
  readonly sha256: Buffer;
  readonly textStats: TextStats | undefined;
}

/** A file that is being sent. */
export interface Arriving {
  readonly header: SaveHeader;
  readonly chunks: Uint8Array[];
  receivedBytes: number;
}

/** A file that is not taken. */
export class Refused extends Error {
  constructor(
    readonly reason: keyof typeof RefuseReason,
    message: string,
  ) {
    super(message);
  }
}

/** How long a file takes to be there where it is acknowledged too early, in milliseconds. */
const lateMs = 500;

/** What a `FakeStorage` holds, and remembers of what it does not hold. It outlives a restart. */
export class FakeHeldFiles {
  readonly #fault: StorageFault | undefined;
  readonly #arriving: ReadonlySet<Arriving>;
  #stored = new Map<string, Stored>();
  #tombstones = new Map<string, Fence & { readonly uploadId: string }>();
  #fences = new Map<string, Fence>();
  #names = new Set<string>();

  /** @param arriving the files that are being sent */
  constructor(fault: StorageFault | undefined, arriving: ReadonlySet<Arriving>) {
    this.#fault = fault;
    this.#arriving = arriving;
  }

  get count(): number {
    return this.#stored.size;
  }

  restarted(): void {
    if (this.#has("forgets everything at a restart")) {
      this.#stored = new Map();
      this.#tombstones = new Map();
      this.#names = new Set();
    }
    // What is held keeps its fence; others are forgotten, as the contract allows.
    for (const key of this.#fences.keys()) if (!this.#stored.has(key)) this.#fences.delete(key);
    if (this.#has("forgets fences at a restart") || this.#has("forgets everything at a restart"))
      this.#fences = new Map();
  }

  /** Stores a file that has come in full; returns what the server says of it. */
  finish(arriving: Arriving, { finish }: Part<SaveHeader>) {
    const { header } = arriving;
    const sha256 = createHash("sha256").update(Buffer.concat(arriving.chunks)).digest();
    for (const said of [header.sizeBytes, finish?.sizeBytes])
      if (said !== undefined && said !== BigInt(arriving.receivedBytes) && !this.#has("ignores the announced length"))
        throw new Refused("REFUSE_REASON_SIZE_MISMATCH", `${said} bytes were announced`);
    for (const said of [header.sha256, finish?.sha256])
      if (said && !sha256.equals(said) && !this.#has("ignores the announced digest"))
        throw new Refused("REFUSE_REASON_DIGEST_MISMATCH", "the SHA-256 differs");
    const key = this.#key(header);
    const known = this.#stored.get(key);
    const isOther = known && known.header.uploadId !== header.uploadId;
    if (isOther && !this.#has("takes another upload under a known number"))
      throw new Refused("REFUSE_REASON_NUMBER_TAKEN", "another upload has this number");
    this.#throwIfStale(header);
    this.see(header);
    if (known && !isOther && !this.#has("knows no file again")) {
      if (!known.sha256.equals(sha256) && !this.#has("takes other bytes under a known upload"))
        throw new Refused("REFUSE_REASON_DIGEST_MISMATCH", "other bytes than those that are stored");
      return { ...known, duplicate: true };
    }
    const textStats = header.kind === Kind.KIND_TEXT_DOCUMENT ? this.#count(arriving) : undefined;
    const stored = this.keep(arriving, textStats);
    const last = arriving.chunks.findLast(({ length }) => length > 0) ?? Buffer.alloc(0);
    return {
      ...stored,
      duplicate: false,
      ...(this.#has("tells a length that is one too large") && { sizeBytes: stored.sizeBytes + 1n }),
      ...(this.#has("tells the digest of the last message only") && {
        sha256: createHash("sha256").update(last).digest(),
      }),
    };
  }

  keep({ header, chunks, receivedBytes }: Arriving, textStats: TextStats | undefined): Stored {
    const storedName = this.#freeName(header);
    const sha256 = createHash("sha256").update(Buffer.concat(chunks)).digest();
    const stored = { header, storedName, sizeBytes: BigInt(receivedBytes), sha256, textStats };
    const store = () => {
      this.#names.add(storedName);
      this.#stored.set(this.#key(header), stored);
    };
    if (this.#has("acknowledges before the file is there")) setTimeout(store, lateMs);
    else store();
    return stored;
  }

  #freeName({ requestNumber, name, origin }: SaveHeader): string {
    if (this.#has("names files by their number only")) return String(requestNumber);
    const plain = `${requestNumber}_${name}`;
    if (!this.#names.has(plain)) return plain;
    const extension = extname(plain);
    return `${plain.slice(0, plain.length - extension.length)}~${origin.slice(0, 8)}${extension}`;
  }

  #throwIfStale(header: SaveHeader): void {
    const key = this.#key(header);
    const tombstone = this.#has("takes a late attempt after Discard") ? undefined : this.#tombstones.get(key);
    const seen = this.#fences.get(key);
    const isStale = (seen && this.#compare(header, seen) < 0) || (tombstone && this.#compare(header, tombstone) <= 0);
    if (isStale) throw new Refused("REFUSE_REASON_STALE_ATTEMPT", "a later attempt has been seen");
  }

  /** Remembers an attempt. */
  see(header: SaveHeader): void {
    const key = this.#key(header);
    const seen = this.#fences.get(key);
    if (!seen || this.#compare(header, seen) > 0) this.#fences.set(key, header);
  }

  #compare(a: Fence, b: Fence): number {
    if (a.term !== b.term && !this.#has("ignores the term")) return a.term < b.term ? -1 : 1;
    return this.#has("ignores the attempt") ? 0 : a.attempt - b.attempt;
  }

  #count({ chunks }: Arriving): TextStats {
    let content = documentContent(chunks);
    if (this.#has("takes any document")) content ??= "";
    if (content === undefined) throw new Refused("REFUSE_REASON_NOT_A_TEXT_DOCUMENT", "no text document");
    const characters = this.#has("counts characters in UTF-16") ? content.length : [...content].length;
    return { lettersA: BigInt(content.match(/a/gi)?.length ?? 0), characters: BigInt(characters) };
  }

  stat(request: StatRequest): StatResponse {
    const key = this.#key(request);
    const arriving = [...this.#arriving].find(({ header }) => this.#key(header) === key);
    if (arriving && !this.#has("shows a file that is arriving as stored"))
      return { holding: Holding.HOLDING_RECEIVING, file: undefined };
    const stored = this.#stored.get(key);
    if (!stored) {
      const isShown = arriving !== undefined || this.#has("says of every number that a file is held");
      return { holding: isShown ? Holding.HOLDING_STORED : Holding.HOLDING_NONE, file: undefined };
    }
    const { uploadId, term, attempt } = stored.header;
    return { holding: Holding.HOLDING_STORED, file: { ...stored, uploadId, term, attempt, storedAt: undefined } };
  }

  discard(request: DiscardRequest, done: sendUnaryData<DiscardResponse>): void {
    const key = this.#key(request);
    const stored = this.#stored.get(key);
    const fence = this.#fences.get(key);
    const isOther = stored !== undefined && stored.header.uploadId !== request.uploadId;
    const isEarlier = stored !== undefined && fence !== undefined && this.#compare(request, fence) < 0;
    if ((isOther || isEarlier) && !this.#has("removes what Discard does not name")) {
      done({ code: status.FAILED_PRECONDITION, details: "another upload, or a later attempt" });
      return;
    }
    if (stored) this.#names.delete(stored.storedName);
    const { term, attempt, uploadId } = request;
    const before = this.#tombstones.get(key);
    if (!before || this.#compare(request, before) > 0) this.#tombstones.set(key, { term, attempt, uploadId });
    done(null, { discarded: this.#stored.delete(key) });
  }

  #has(fault: StorageFault): boolean {
    return this.#fault === fault;
  }

  #key({ origin, requestNumber }: { readonly origin: string; readonly requestNumber: bigint }): string {
    return this.#has("keeps one origin's files for all") ? String(requestNumber) : `${origin}/${requestNumber}`;
  }
}
