import { createHash } from "node:crypto";
import { serverOptions } from "@bilancia/proto/channel-options";
import {
  Ack,
  type QueryUploadRequest,
  type QueryUploadResponse,
  type UploadEvent,
  type UploadFileResponse,
  type UploadHeader,
  UploadState,
} from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { balancerService, type UploadBatch } from "@bilancia/proto/services";
import { Server, type ServerDuplexStream, type ServiceError, status, type UntypedHandleCall } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";

/** What the fake holds of one upload. */
export interface HeldUpload {
  readonly header: UploadHeader;
  readonly requestNumber: bigint;
  bytes: Buffer;
  finished: boolean;
  /** How often its header has come. */
  headerCount: number;
}

/** How the fake misbehaves. All hooks are optional. */
export interface FakeBehaviour {
  /** An event to answer a header with, in place of `accepted`. */
  onHeader?: (held: HeldUpload) => UploadEvent["event"];
  /** An event to answer a finished file with, in place of `stored`. */
  onFinish?: (held: HeldUpload) => UploadEvent["event"];
  /** Called after each part; true cuts the stream with UNAVAILABLE. */
  cut?: (held: HeldUpload) => boolean;
  /** Status that ends every stream at its first message. */
  endWith?: { code: status; details: string };
  /** Called before each message is read; may be slow. */
  pace?: () => Promise<void>;
  /** Whether nothing is answered. */
  mute?: boolean;
}

type Call = ServerDuplexStream<UploadBatch, UploadFileResponse>;

/** A balancer for tests, in memory: checks what it gets as strictly as a real one, and stores on `storage-1`. */
export class FakeBalancer {
  readonly uploads = new Map<string, HeldUpload>();
  /** How many parts each message had. */
  readonly partCounts: number[] = [];
  /** Messages with one data part and nothing else. */
  pureDataMessageCount = 0;
  streamCount = 0;
  receivedBytes = 0;
  readonly cancelledIds: string[] = [];
  address = "";
  #server: Server | undefined;

  constructor(readonly behaviour: FakeBehaviour = {}) {}

  async start(address = "127.0.0.1:0"): Promise<this> {
    const server = new Server(serverOptions);
    const handlers: Record<string, UntypedHandleCall> = {
      uploadFile: ((call: Call) => void this.#serve(call)) as UntypedHandleCall,
      queryUpload: ((
        call: { request: QueryUploadRequest },
        done: (error: Partial<ServiceError> | null, answer?: QueryUploadResponse) => void,
      ) => {
        const { key } = call.request;
        const held = [...this.uploads.values()].find((one) =>
          key?.$case === "uploadId" ? one.header.uploadId === key.value : one.requestNumber === key?.value,
        );
        if (held) done(null, queryAnswer(held));
        else done({ code: status.NOT_FOUND, details: "no such upload" });
      }) as UntypedHandleCall,
      cancelUpload: ((
        call: { request: QueryUploadRequest },
        done: (error: null, answer: Record<string, never>) => void,
      ) => {
        if (call.request.key?.$case === "uploadId") this.cancelledIds.push(call.request.key.value);
        done(null, {});
      }) as UntypedHandleCall,
    };
    server.addService(balancerService, handlers);
    this.address = await listen(server, address);
    this.#server = server;
    return this;
  }

  /** Stops hard, as a crash would; what is held stays. */
  stop(): void {
    // With channelz off, grpc-js' forceShutdown does not know the open connections; drain does.
    this.#server?.drain(this.address, 0);
    this.#server?.forceShutdown();
  }

  async #serve(call: Call): Promise<void> {
    this.streamCount++;
    let current: HeldUpload | undefined;
    const { behaviour } = this;
    call.on("error", () => {});
    const answer = (held: HeldUpload, event: UploadEvent["event"]) => {
      if (event && !behaviour.mute)
        call.write({ events: [{ uploadId: held.header.uploadId, requestNumber: held.requestNumber, event }] });
    };
    // Once the iteration is over: within it an error destroys the stream, and where an answer is still being written, no status is sent.
    const fail = (code: status, details: string) => setImmediate(() => call.emit("error", { code, details }));
    try {
      // Left to itself, the iteration destroys the stream at its end, before anything can be answered.
      for await (const { parts } of call.iterator({ destroyOnReturn: false }) as AsyncIterable<UploadBatch>) {
        await behaviour.pace?.();
        if (behaviour.endWith) return void fail(behaviour.endWith.code, behaviour.endWith.details);
        this.partCounts.push(parts.length);
        const [only] = parts;
        if (parts.length === 1 && only && !only.header && only.data.length > 0 && !only.finish)
          this.pureDataMessageCount++;
        for (const part of parts) {
          this.receivedBytes += part.data.length;
          let begun = false;
          if (part.header) {
            current = this.#hold(part.header);
            begun = true;
            if (current.finished) {
              answer(current, stored(current));
              current = undefined;
              continue;
            }
            const early = behaviour.onHeader?.(current);
            if (early) {
              answer(current, early);
              current = undefined;
              continue;
            }
          }
          if (!current) continue;
          if (part.data.length > 0) {
            if (part.offset !== current.bytes.length)
              return void fail(status.INVALID_ARGUMENT, `offset ${part.offset}, expected ${current.bytes.length}`);
            if (part.crc32c !== crc32c(part.data)) return void fail(status.INVALID_ARGUMENT, "wrong crc32c");
            current.bytes = Buffer.concat([current.bytes, part.data]);
          }
          if (begun && !part.finish)
            answer(current, { $case: "accepted", value: { resumeOffset: BigInt(current.bytes.length) } });
          if (behaviour.cut?.(current)) return void fail(status.UNAVAILABLE, "cut by the test");
          if (!part.finish) continue;
          const sha256 = createHash("sha256").update(current.bytes).digest();
          if (part.finish.sizeBytes !== BigInt(current.bytes.length) || !sha256.equals(part.finish.sha256 ?? sha256))
            return void fail(status.INVALID_ARGUMENT, "finish does not fit");
          const verdict = behaviour.onFinish?.(current);
          current.finished = verdict?.$case !== "rejected";
          if (!current.finished) current.bytes = Buffer.alloc(0);
          if (!verdict && current.header.ack === Ack.ACK_QUEUED) answer(current, { $case: "queued", value: {} });
          answer(current, verdict ?? stored(current));
          current = undefined;
        }
      }
      call.end();
    } catch {
      // The client has gone; the test looks at what came.
    }
  }

  #hold(header: UploadHeader): HeldUpload {
    const known = this.uploads.get(header.uploadId);
    const requestNumber = BigInt(this.uploads.size + 1);
    const held = known ?? { header, requestNumber, bytes: Buffer.alloc(0), finished: false, headerCount: 0 };
    held.headerCount++;
    this.uploads.set(header.uploadId, held);
    return held;
  }
}

/** The event that tells that an upload is stored. */
export function stored(held: HeldUpload): UploadEvent["event"] {
  return { $case: "stored", value: { receipt: receiptOf(held) } };
}

function receiptOf(held: HeldUpload) {
  const { header, requestNumber, bytes } = held;
  return {
    requestNumber,
    uploadId: header.uploadId,
    name: header.name,
    server: "storage-1",
    storedName: `${requestNumber}_${header.name}`,
    sizeBytes: BigInt(bytes.length),
    sha256: createHash("sha256").update(bytes).digest(),
    attempts: 1,
    storedAt: { seconds: 1_800_000_000n, nanos: 0 },
    textStats:
      header.kind === Kind.KIND_TEXT_DOCUMENT
        ? { lettersA: BigInt(bytes.toString().replace(/[^aA]/g, "").length), characters: BigInt(bytes.length) }
        : undefined,
  };
}

function queryAnswer(held: HeldUpload): QueryUploadResponse {
  return {
    uploadId: held.header.uploadId,
    requestNumber: held.requestNumber,
    name: held.header.name,
    sizeBytes: BigInt(held.bytes.length),
    state: UploadState.UPLOAD_STATE_STORED,
    persistedBytes: BigInt(held.bytes.length),
    attempts: [{ number: 1, server: "storage-1", outcome: 1, message: "", startedAt: undefined }],
    receipt: receiptOf(held),
    rejection: undefined,
    receivedAt: { seconds: 1_800_000_000n, nanos: 0 },
    place: undefined,
    priority: held.header.priority,
  };
}
