import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type Metadata,
  makeGenericClientConstructor,
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import {
  HealthService as generatedService,
  type HealthListResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "./gen/health/v1/health.js";

/** What `grpc.health.v1.Health/Check` answers, in words; `status` is `SERVING` when all is well. */
export interface HealthCheckResponse {
  readonly status: keyof typeof ServingStatus;
}

/** The standard health service, with its answers in words. */
export const healthService = {
  ...generatedService,
  check: inWords(generatedService.check),
  watch: inWords(generatedService.watch),
};

interface Answers {
  readonly responseSerialize: (response: { status: ServingStatus }) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => { status: ServingStatus };
}

function inWords<Method extends Answers>(method: Method) {
  return {
    ...method,
    responseSerialize: ({ status }: HealthCheckResponse) => method.responseSerialize({ status: ServingStatus[status] }),
    responseDeserialize: (bytes: Buffer): HealthCheckResponse => {
      const { status } = method.responseDeserialize(bytes);
      return { status: (ServingStatus[status] as keyof typeof ServingStatus | undefined) ?? "UNRECOGNIZED" };
    },
  };
}

/** A client of the standard health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */
export interface HealthClient extends Client {
  check(
    request: { service: string },
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, response: HealthCheckResponse) => void,
  ): ClientUnaryCall;
  /** Answers at once, and again with every change. */
  watch(request: { service: string }): ClientReadableStream<HealthCheckResponse>;
}
export const HealthClient = makeGenericClientConstructor(healthService, "grpc.health.v1.Health") as unknown as new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => HealthClient;

/** Longest name of a service that is asked for, in characters: what is watched is remembered. */
const maxServiceChars = 200;

type ServiceStatus = "SERVING" | "NOT_SERVING";
type HealthWatch = ServerWritableStream<{ service: string }, HealthCheckResponse>;

/**
 * The standard health service. That of grpc-health-check keeps every name that was ever watched, whoever asked for it, and puts any name into the details of an
 * error, which then may be too long to be sent.
 */
export class HealthService {
  readonly #statuses: Map<string, ServiceStatus>;
  /** Who watches which service; it may be one that is not there. */
  readonly #watches = new Map<string, Set<HealthWatch>>();

  /** @param services what is `SERVING` for a start; `""` stands for the whole server */
  constructor(services: readonly string[]) {
    this.#statuses = new Map(services.map((service) => [service, "SERVING"]));
  }

  /** How many names are watched. */
  get watchedCount(): number {
    return this.#watches.size;
  }

  setStatus(service: string, serving: ServiceStatus): void {
    this.#statuses.set(service, serving);
    for (const call of this.#watches.get(service) ?? []) call.write({ status: serving });
  }

  addToServer(server: Server): void {
    server.addService(healthService, {
      check: (
        { request: { service } }: ServerUnaryCall<{ service: string }, HealthCheckResponse>,
        callback: sendUnaryData<HealthCheckResponse>,
      ) => {
        const serving = this.#statuses.get(service);
        callback(serving ? null : unknownService(service), serving ? { status: serving } : null);
      },
      watch: (call: HealthWatch) => this.#watch(call),
      list: (_call: unknown, callback: sendUnaryData<HealthListResponse>) => {
        const statuses = [...this.#statuses].map(([service, serving]) => [service, { status: ServingStatus[serving] }]);
        callback(null, { statuses: Object.fromEntries(statuses) });
      },
    });
  }

  #watch(call: HealthWatch): void {
    const { service } = call.request;
    const serving = this.#statuses.get(service);
    if (!serving && service.length > maxServiceChars) {
      call.emit("error", unknownService(service));
      return;
    }
    const watches = this.#watches.get(service) ?? new Set();
    this.#watches.set(service, watches.add(call));
    call.on("cancelled", () => {
      watches.delete(call);
      if (watches.size === 0) this.#watches.delete(service);
    });
    call.write({ status: serving ?? "SERVICE_UNKNOWN" });
  }
}

function unknownService(service: string): { code: status; details: string } {
  const named =
    service.length > maxServiceChars ? `has a name of ${service.length} characters` : `is ${JSON.stringify(service)}`;
  return { code: status.NOT_FOUND, details: `no service ${named}` };
}
