import {
  type CallOptions,
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientOptions,
  type Metadata,
  makeGenericClientConstructor,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import {
  BalancerService,
  type BalancerClient as GeneratedBalancerClient,
  type UploadFileResponse,
  UploadHeader,
} from "./gen/bilancia/v1/balancer.js";
import {
  type StorageClient as GeneratedStorageClient,
  SaveHeader,
  type SaveResponse,
  StorageService,
} from "./gen/bilancia/v1/storage.js";
import { type PartBatch, partCodec } from "./part-codec.js";

/** A message of the upload stream, as `part-codec` reads and writes it. */
export type UploadBatch = PartBatch<UploadHeader>;
/** A message of the save stream, as `part-codec` reads and writes it. */
export type SaveBatch = PartBatch<SaveHeader>;

const uploadCodec = partCodec(UploadHeader);
const saveCodec = partCodec(SaveHeader);

/** `bilancia.v1.Balancer`, with the hot-path codec on its upload stream. */
export const balancerService = {
  ...BalancerService,
  uploadFile: {
    ...BalancerService.uploadFile,
    requestSerialize: uploadCodec.encode,
    requestDeserialize: uploadCodec.decode,
  },
} satisfies ServiceDefinition;

/** `bilancia.v1.Storage`, with the hot-path codec on its save stream. */
export const storageService = {
  ...StorageService,
  save: {
    ...StorageService.save,
    requestSerialize: saveCodec.encode,
    requestDeserialize: saveCodec.decode,
  },
} satisfies ServiceDefinition;

type Constructor<Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => Client;

type OpenStream<Request, Response> = (
  metadata?: Metadata,
  options?: Partial<CallOptions>,
) => ClientDuplexStream<Request, Response>;

/** A client of a balancer. */
export type BalancerClient = Omit<GeneratedBalancerClient, "uploadFile"> & {
  uploadFile: OpenStream<UploadBatch, UploadFileResponse>;
};
export const BalancerClient = makeGenericClientConstructor(
  balancerService,
  "bilancia.v1.Balancer",
) as unknown as Constructor<BalancerClient>;

/** A client of a storage server. */
export type StorageClient = Omit<GeneratedStorageClient, "save"> & { save: OpenStream<SaveBatch, SaveResponse> };
export const StorageClient = makeGenericClientConstructor(
  storageService,
  "bilancia.v1.Storage",
) as unknown as Constructor<StorageClient>;
