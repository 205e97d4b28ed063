import { Certificates } from "@bilancia/proto/tls/certificates";
import { channelCredentials, type Protection, protectionOf, serverCredentials } from "@bilancia/proto/tls/credentials";
import type { CertificateNames, CertificatePaths } from "@bilancia/proto/tls/pem";
import type { ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { Config } from "./config-schema.js";
import { plainText, type ServerSecurity } from "./dispatch/server-security.js";

/** What the balancer takes connections with, and makes them. */
export interface BalancerCertificates {
  /** For who uploads, and for storage servers that announce themselves. */
  readonly clients: ServerCredentials;
  readonly admins: ServerCredentials;
  readonly servers: ServerSecurity;
  /** Of who uploads. */
  readonly protection: Protection;
  /** Begins to look for changes of the files. */
  watch(): void;
  /** Ends it. */
  stop(): void;
}

/**
 * Opens the certificates that the settings name. While they are watched they are read again when they change.
 *
 * @throws CertificateError
 */
export function openCertificates(
  { tls, admin, serverTls }: Pick<Config, "tls" | "admin" | "serverTls">,
  log: Logger,
): BalancerCertificates {
  const opened: Certificates[] = [];
  const open = (paths: CertificatePaths, names: CertificateNames): Certificates | undefined => {
    if (paths.cert === "" && paths.key === "" && paths.ca === "") return undefined;
    const certificates = new Certificates(paths, names);
    opened.push(certificates);
    return certificates;
  };
  const openFor = (ca: string, caName: string) =>
    open({ cert: tls.cert, key: tls.key, ca }, { cert: "tls.cert", key: "tls.key", ca: caName });
  const clients = openFor(tls.clientCa, "tls.clientCa");
  const admins = admin.clientCa === "" ? clients : openFor(admin.clientCa, "admin.clientCa");
  const { cert, key, ca, name } = serverTls;
  const servers = open({ cert, key, ca }, { cert: "serverTls.cert", key: "serverTls.key", ca: "serverTls.ca" });
  return {
    clients: serverCredentials(clients),
    admins: serverCredentials(admins),
    servers: servers
      ? {
          credentials: channelCredentials(servers),
          options: name === "" ? {} : { "grpc.ssl_target_name_override": name },
        }
      : plainText,
    protection: protectionOf(clients),
    watch() {
      for (const certificates of opened) certificates.watch(log);
    },
    stop() {
      for (const certificates of opened) certificates.stop();
    },
  };
}
