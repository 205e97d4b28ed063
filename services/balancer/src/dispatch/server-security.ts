import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";

/** How storage servers are connected to. */
export interface ServerSecurity {
  readonly credentials: ChannelCredentials;
  /** The options of a channel that belong to it. */
  readonly options: ChannelOptions;
}

/** In plain text. */
export const plainText: ServerSecurity = { credentials: credentials.createInsecure(), options: {} };
