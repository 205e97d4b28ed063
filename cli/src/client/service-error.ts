import { connectionWords } from "@bilancia/proto/connection-words";
import { status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { BalancerError, UnreachableError } from "./errors.js";

/**
 * Turns the failure of a unary call into an `UnreachableError` or a `BalancerError`.
 *
 * @param what who was asked, for people, for example `the balancer`
 */
export function fromServiceError(error: unknown, address: string, what: string): Error {
  const { code, details } = error as Partial<ServiceError>;
  // Other errors have codes that are words.
  if (typeof code !== "number") return error instanceof Error ? error : new Error(String(error));
  const words = details ?? "";
  const cause = { cause: error };
  if (code === grpcStatus.UNAVAILABLE) return new UnreachableError(address, connectionProblem(words), what, cause);
  if (code === grpcStatus.DEADLINE_EXCEEDED) return new UnreachableError(address, "no answer in time", what, cause);
  const name = grpcStatus[code] ?? String(code);
  if (code === grpcStatus.UNIMPLEMENTED)
    return new BalancerError(name, `what listens at ${address} is not ${what} (${words})`, cause);
  return new BalancerError(name, `${what} at ${address} says: ${words} (${name})`, cause);
}

/** The part of grpc-js' words on a failed connection that tells something to people. */
export function connectionProblem(details: string): string {
  if (details.includes("ECONNREFUSED")) return "connection refused; is it running there?";
  if (details.includes("ENOTFOUND") || details.includes("Name resolution failed")) return "the host name is not known";
  return connectionWords(details);
}
