import { ChannelCredentials, experimental, ServerCredentials } from "@grpc/grpc-js";
import type { Certificates } from "./certificates.js";

/** What a server asks of who connects: nothing, TLS, or TLS and a certificate. */
export type Protection = "none" | "tls" | "mtls";

/** How `serverCredentials` of these certificates protects a server. */
export function protectionOf(certificates: Certificates | undefined): Protection {
  if (!certificates?.identity) return "none";
  return certificates.ca ? "mtls" : "tls";
}

/**
 * How a server takes connections: with TLS where it has a certificate, and only of clients that show one of its authorities where it has these. Without certificates, in plain text.
 */
export function serverCredentials(certificates: Certificates | undefined): ServerCredentials {
  if (!certificates?.identity) return ServerCredentials.createInsecure();
  const hasCa = certificates.ca !== undefined;
  // In grpc-js 1.14 the first one is that of the certificate, and the second that of the authorities, whatever their names there say.
  return experimental.createCertificateProviderServerCredentials(certificates, hasCa ? certificates : null, hasCa);
}

/** How a client connects: with TLS to servers whose certificates are of its authorities, showing its own where it has one. Without certificates, in plain text. */
export function channelCredentials(certificates: Certificates | undefined): ChannelCredentials {
  if (!certificates) return ChannelCredentials.createInsecure();
  // Node warns, on standard error, of a TLS server that is called by its IP address, which is what grpc-js does.
  process.noDeprecation = true;
  const { identity, ca } = certificates;
  // Without authorities those that Node knows are meant, which grpc-js does not know how to provide.
  if (!ca) return ChannelCredentials.createSsl(null, identity?.privateKey, identity?.certificate);
  return experimental.createCertificateProviderChannelCredentials(certificates, identity ? certificates : null, {});
}
