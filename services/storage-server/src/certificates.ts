import { Certificates } from "@bilancia/proto/tls/certificates";
import { channelCredentials, serverCredentials } from "@bilancia/proto/tls/credentials";
import type { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { StorageConfig } from "./config.js";

/** What the server takes connections with, and makes those to its balancers. */
export interface StorageCertificates {
  readonly own: ServerCredentials;
  readonly balancers: ChannelCredentials;
  /** Looks at the files no more. */
  stop(): void;
}

/**
 * Opens the certificates that the options name, and from then on reads them again when they change. A balancer that asks for one is shown the server's own.
 *
 * @throws CertificateError
 */
export function openCertificates({ tls, balancerCa }: StorageConfig, log: Logger): StorageCertificates {
  const names = { cert: "--tls-cert", key: "--tls-key" };
  const own = tls.cert === "" ? undefined : new Certificates(tls, { ...names, ca: "--tls-client-ca" });
  const balancers =
    balancerCa === "" ? undefined : new Certificates({ ...tls, ca: balancerCa }, { ...names, ca: "--balancer-ca" });
  own?.watch(log);
  balancers?.watch(log);
  return {
    own: serverCredentials(own),
    balancers: channelCredentials(balancers),
    stop() {
      own?.stop();
      balancers?.stop();
    },
  };
}
