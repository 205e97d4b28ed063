import { readFileSync } from "node:fs";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { Server, ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { readNothingAhead } from "./flow-control.js";

/** `FileDescriptorSet`s that the build makes from the `.proto` files of the contract and of the health service. */
const descriptorSets = ["../dist/bilancia.binpb", "../dist/health.binpb"];

/**
 * Adds server reflection (v1 and v1alpha), so that `grpcurl` and `buf curl` work without any `.proto` at hand.
 *
 * @param services full names of what the server serves, for example `bilancia.v1.Storage`; health is added
 */
export function addReflection(server: Server, services: readonly string[]): void {
  // @grpc/reflection reads nothing but the `fileDescriptorProtos` of whatever it is given. Definitions made by
  // proto-loader lose their imports and misname their maps, so it gets the compiler's own descriptors.
  const obeying = {
    addService: (definition: ServiceDefinition, handlers: Record<string, Handler>) =>
      server.addService(definition, obedient(handlers)),
  };
  const root = { contract: { fileDescriptorProtos: descriptorSets.flatMap(readDescriptors) } };
  new ReflectionService(root as unknown as ConstructorParameters<typeof ReflectionService>[0], {
    services: [...services, "grpc.health.v1.Health"],
  }).addToServer(obeying as unknown as Parameters<ReflectionService["addToServer"]>[0]);
}

type Handler = (call: ServerDuplexStream<unknown, unknown>) => void;

/** @grpc/reflection answers whether or not anybody reads the answers: with these handlers no further question is read until there is room for its answer. */
function obedient(handlers: Record<string, Handler>): UntypedServiceImplementation {
  const obey =
    (handle: Handler): Handler =>
    (call) => {
      readNothingAhead(call);
      handle(call);
      call.on("data", () => {
        if (call.writableNeedDrain) call.pause();
      });
      call.on("drain", () => call.resume());
    };
  return Object.fromEntries(Object.entries(handlers).map(([name, handle]) => [name, obey(handle)]));
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
