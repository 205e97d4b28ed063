import { Certificates } from "@bilancia/proto/tls/certificates";
import { channelCredentials, type Protection, protectionOf, serverCredentials } from "@bilancia/proto/tls/credentials";
import type { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { StorageConfig } from "./config.js";

/** What the server takes connections with, and makes those to its balancers. */
export interface StorageCertificates {
  readonly own: ServerCredentials;
  readonly balancers: ChannelCredentials;
  readonly protection: Protection;
  /** Begins to look for changes of the files. */
  watch(): void;
  /** Ends it. */
  stop(): void;
}

/**
 * Opens the certificates that the options name. While they are watched they are read again when they change. A balancer that asks for one is shown the server's own.
 *
 * @throws CertificateError
 */
export function openCertificates({ tls, balancerCa }: StorageConfig, log: Logger): StorageCertificates {
  const names = { cert: "--tls-cert", key: "--tls-key" };
  const own = tls.cert === "" ? undefined : new Certificates(tls, { ...names, ca: "--tls-client-ca" });
  const balancers =
    balancerCa === "" ? undefined : new Certificates({ ...tls, ca: balancerCa }, { ...names, ca: "--balancer-ca" });
  return {
    protection: protectionOf(own),
    own: serverCredentials(own),
    balancers: channelCredentials(balancers),
    watch() {
      own?.watch(log);
      balancers?.watch(log);
    },
    stop() {
      own?.stop();
      balancers?.stop();
    },
  };
}
