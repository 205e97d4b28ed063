import type { RefuseReason } from "@bilancia/proto/gen/storage";

/** A file is not stored, for a reason that its sender can read. The message says what was wrong, what was expected, what came; no paths. */
export class Refusal extends Error {
  readonly reason: RefuseReason;

  constructor(reason: RefuseReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
