import { type CertificateNames, type CertificatePaths, Certificates } from "@bilancia/proto/tls/certificates";
import { channelCredentials, serverCredentials } from "@bilancia/proto/tls/credentials";
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
  /** Looks at the files no more. */
  stop(): void;
}

/**
 * Opens the certificates that the settings name, and from then on reads them again when they change.
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
    certificates.watch(log);
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
    stop() {
      for (const certificates of opened) certificates.stop();
    },
  };
}
