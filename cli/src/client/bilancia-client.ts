import { channelOptions } from "@bilancia/proto/channel-options";
import type { QueryUploadRequest, QueryUploadResponse } from "@bilancia/proto/gen/balancer";
import { sendInPlace } from "@bilancia/proto/message-sending";
import { BalancerClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { type ChannelCredentials, credentials, status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { fromServiceError } from "./service-error.js";
import { UploadSession } from "./upload-session.js";
import type { UploadSource } from "./upload-source.js";
import type { UploadOptions, UploadResult } from "./upload-types.js";

/** Where the balancer is, and how patient to be with it. */
export interface BilanciaClientOptions {
  /** `host:port`. */
  readonly address: string;
  /** How to connect, for example `credentials.createSsl(ca)` of `@grpc/grpc-js` for a balancer with TLS. Default: in plain text. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Time allowed for the first connection, and for a query. Default: 5,000 ms. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long a lost connection is tried again without any progress, before the files left are given up. Default: 30,000 ms. */
  readonly retryForMs?: number | undefined;
  /** How often a file is tried again that the balancer rejected only for now. Default: 5. */
  readonly rejectionRetryCount?: number | undefined;
  /** Most files that are sent, or read in advance, without an answer. Bounds the memory. Default: 4,096. */
  readonly unansweredLimitCount?: number | undefined;
}

/** One of the two names of an upload. */
export type UploadKey = { readonly uploadId: string } | { readonly requestNumber: bigint };

/**
 * A client of one balancer. It sends any number of files over one stream, several small ones to a message, with as much read ahead as the
 * connection takes and no more. When the connection is lost it comes back and sends what has no answer yet under the same upload ids, large
 * files from where they were cut, so that nothing is stored twice. Whoever makes it closes it.
 */
export class BilanciaClient {
  readonly #options: Required<{
    [Key in Exclude<keyof BilanciaClientOptions, "credentials">]: NonNullable<BilanciaClientOptions[Key]>;
  }>;
  readonly #client: BalancerClient;

  constructor(options: BilanciaClientOptions) {
    this.#options = {
      address: options.address,
      connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
      retryForMs: options.retryForMs ?? 30_000,
      rejectionRetryCount: options.rejectionRetryCount ?? 5,
      unansweredLimitCount: options.unansweredLimitCount ?? 4_096,
    };
    sendInPlace();
    const secrets = options.credentials ?? credentials.createInsecure();
    this.#client = new BalancerClient(options.address, secrets, channelOptions);
  }

  /**
   * Uploads files. Every source gets exactly one result, in the order in which they end. Sources are taken as there is room for them; they
   * may be made while the upload runs. Leaving the iteration early stops the upload.
   *
   * @throws UnreachableError when no first connection is made, BalancerError when the balancer ends the stream for good,
   * UploadAbortedError when the signal fires, and whatever iterating over the sources throws
   */
  upload(
    sources: AsyncIterable<UploadSource> | Iterable<UploadSource>,
    options: UploadOptions = {},
  ): AsyncGenerator<UploadResult, void, void> {
    const session = new UploadSession(this.#client, sources, {
      ...options,
      ...this.#options,
      nowMs: () => performance.now(),
      random: Math.random,
      ask: (uploadId) => this.query({ uploadId }),
      forget: (uploadId) => this.#forget(uploadId),
    });
    return session.results();
  }

  /**
   * Asks for the state of an upload; `undefined` for an unknown one.
   *
   * @throws UnreachableError, BalancerError
   */
  async query(key: UploadKey): Promise<QueryUploadResponse | undefined> {
    const request: QueryUploadRequest = {
      key:
        "uploadId" in key
          ? { $case: "uploadId", value: key.uploadId }
          : { $case: "requestNumber", value: key.requestNumber },
    };
    try {
      return await callUnary(this.#client.queryUpload.bind(this.#client), request, this.#options.connectTimeoutMs);
    } catch (error) {
      if ((error as Partial<ServiceError>).code === grpcStatus.NOT_FOUND) return undefined;
      throw fromServiceError(error, this.#options.address, "the balancer");
    }
  }

  /** Ends the connection, and with it whatever still runs. */
  close(): void {
    this.#client.close();
  }

  #forget(uploadId: string): void {
    const request = { key: { $case: "uploadId" as const, value: uploadId } };
    // A courtesy to the balancer, which would otherwise keep the part it has until it expires by itself.
    this.#client.cancelUpload(request, () => {});
  }
}
