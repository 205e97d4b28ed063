import type { CertificatePaths } from "@bilancia/proto/tls/pem";
import type { Screen } from "../output/screen.js";

/** What every command is given: where to ask, how patiently, and where to write. */
export interface CommandContext {
  readonly screen: Screen;
  /** The balancer's address, `host:port`. */
  readonly balancer: string;
  /** Address of the balancer's admin service. */
  readonly admin: string;
  /** The files for connections with TLS; `undefined` for plain text. */
  readonly tls: CertificatePaths | undefined;
  readonly connectTimeoutMs: number;
  readonly retryForMs: number;
  /** Whether the output is for programs: one JSON object per line. */
  readonly json: boolean;
}

/** What a command's end says to the shell that called it. */
export const exitCode = {
  ok: 0,
  /** Something was not done, or is not as it should be: the output says what. */
  failed: 1,
  usage: 2,
  unreachable: 3,
  /** 128 + SIGINT. */
  interrupted: 130,
} as const;

/** The command cannot be carried out as it was given. The message says what was wrong, what was expected and what came. */
export class UsageError extends Error {}
