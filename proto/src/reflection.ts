import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import { readNothingAhead } from "./flow-control.js";
import { describeError } from "./system-error.js";

/** `FileDescriptorSet`s that the build makes from the `.proto` files of the contract and of the health service. */
const descriptorSets = ["../dist/bilancia.binpb", "../dist/health.binpb"];

/** One for each version of the service. */
const paths = ["v1", "v1alpha"].map((version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);

type Handler = (call: ServerDuplexStream<unknown, unknown>) => void;

/** One version of the service, as @grpc/reflection defines and handles it. */
interface Reflection {
  readonly method: Pick<MethodDefinition<unknown, unknown>, "requestDeserialize" | "responseSerialize">;
  readonly handle: Handler;
}

/**
 * Adds server reflection (v1 and v1alpha), so that `grpcurl` and `buf curl` work without any `.proto` at hand. What it takes, some
 * hundred files of code, is loaded with the first question.
 *
 * @param services full names of what the server serves, for example `bilancia.v1.Storage`; health is added
 */
export function addReflection(server: Server, services: readonly string[]): void {
  let loaded: Map<string, Reflection> | undefined;
  for (const path of paths) {
    const reflection = (): Reflection => {
      loaded ??= load(services);
      return loaded.get(path) as Reflection;
    };
    const method = {
      path,
      requestStream: true,
      responseStream: true,
      requestDeserialize: (bytes: Buffer) => reflection().method.requestDeserialize(bytes),
      responseSerialize: (answer: unknown) => reflection().method.responseSerialize(answer),
    };
    const handle: Handler = (call) => {
      try {
        obey(call, reflection().handle);
      } catch (error) {
        call.emit("error", {
          code: status.UNAVAILABLE,
          details: `reflection cannot be loaded: ${describeError(error)}`,
        });
      }
    };
    server.addService({ ServerReflectionInfo: method } as unknown as ServiceDefinition, {
      ServerReflectionInfo: handle,
    });
  }
}

/** @returns by path */
function load(services: readonly string[]): Map<string, Reflection> {
  const { ReflectionService } = createRequire(import.meta.url)("@grpc/reflection") as typeof import("@grpc/reflection");
  const byPath = new Map<string, Reflection>();
  const collector = {
    addService: (definition: ServiceDefinition, handlers: Record<string, Handler>) => {
      for (const [name, method] of Object.entries(definition))
        byPath.set(method.path, { method, handle: handlers[name] as Handler });
    },
  };
  // @grpc/reflection reads nothing but the `fileDescriptorProtos` of whatever it is given. Definitions made by
  // proto-loader lose their imports and misname their maps, so it gets the compiler's own descriptors.
  const root = { contract: { fileDescriptorProtos: descriptorSets.flatMap(readDescriptors) } };
  new ReflectionService(root as unknown as ConstructorParameters<typeof ReflectionService>[0], {
    services: [...services, "grpc.health.v1.Health"],
  }).addToServer(collector as unknown as Parameters<typeof ReflectionService.prototype.addToServer>[0]);
  return byPath;
}

/** @grpc/reflection answers whether or not anybody reads the answers: here no further question is read until there is room for its answer. */
function obey(call: ServerDuplexStream<unknown, unknown>, handle: Handler): void {
  readNothingAhead(call);
  handle(call);
  call.on("data", () => {
    if (call.writableNeedDrain) call.pause();
  });
  call.on("drain", () => call.resume());
}

/** The serialised `FileDescriptorProto`s: field 1 of the set, repeated. */
function readDescriptors(descriptorSet: string): Buffer[] {
  const reader = new BinaryReader(readFileSync(new URL(descriptorSet, import.meta.url)));
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(tag & 7);
  }
  return files;
}
