import { readFileSync } from "node:fs";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

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
  const root = { contract: { fileDescriptorProtos: descriptorSets.flatMap(readDescriptors) } };
  new ReflectionService(root as unknown as ConstructorParameters<typeof ReflectionService>[0], {
    services: [...services, "grpc.health.v1.Health"],
  }).addToServer(server as unknown as Parameters<ReflectionService["addToServer"]>[0]);
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
