import { Certificates } from "@bilancia/proto/tls/certificates";
import { channelCredentials } from "@bilancia/proto/tls/credentials";
import { CertificateError } from "@bilancia/proto/tls/pem";
import type { ChannelCredentials } from "@grpc/grpc-js";
import { type CommandContext, UsageError } from "./command-context.js";

/** How a command connects, by what the command line says. @throws UsageError where a file cannot be used */
export function credentialsOf({ tls }: Pick<CommandContext, "tls">): ChannelCredentials {
  if (!tls) return channelCredentials(undefined);
  try {
    return channelCredentials(new Certificates(tls, { cert: "--cert", key: "--key", ca: "--ca" }));
  } catch (error) {
    throw error instanceof CertificateError ? new UsageError(error.message) : error;
  }
}
