import type { handleUnaryCall } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import type { Occurrence } from "../domain/occurrence.js";
import { toStatus } from "./wire-errors.js";

/** Where faults are noted. */
interface FaultLog {
  note(occurrence: Occurrence): void;
}

/** The handler of a unary call: what is thrown becomes the call's status, see `failureStatus`. */
export function unaryCall<Request, Response>(
  faults: FaultLog,
  answer: (request: Request, peer: string) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const answered = async () => answer(call.request, call.getPeer());
    answered().then(
      (response) => callback(null, response),
      (error: unknown) => callback(failureStatus(faults, call.getPath(), error), null),
    );
  };
}

/** What a call ends with that failed; an error that is none of ours is noted as a fault. */
export function failureStatus(faults: FaultLog, where: string, error: unknown): ReturnType<typeof toStatus> {
  if (!(error instanceof BilanciaError)) faults.note({ kind: "fault", where, error });
  return toStatus(error);
}
