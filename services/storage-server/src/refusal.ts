import { RefuseReason } from "@bilancia/proto/gen/storage";
import { errorCode, isFull } from "@bilancia/proto/system-error";

/** A file is not stored, for a reason that its sender can read. The message says what was wrong, what was expected, what came; no paths. */
export class Refusal extends Error {
  readonly reason: RefuseReason;

  constructor(reason: RefuseReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The refusal of a file that the disk did not take or give. */
export function refusalOf(error: unknown): Refusal {
  if (isFull(error))
    return new Refusal(RefuseReason.REFUSE_REASON_NO_SPACE, "the disk of this server is full", { cause: error });
  const code = errorCode(error) || "unknown error";
  return new Refusal(RefuseReason.REFUSE_REASON_INTERNAL, `this server could not write or read the file (${code})`, {
    cause: error,
  });
}

/** The refusal of a file for which there is no name. */
export function namesTaken(names: readonly string[]): Refusal {
  const list = names.map((name) => JSON.stringify(name)).join(" and ");
  return new Refusal(RefuseReason.REFUSE_REASON_INTERNAL, `the names ${list} are both taken by other files`);
}
