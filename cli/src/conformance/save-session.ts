import type { SaveHeader, SaveResponse, SaveResult, SaveSaved } from "@bilancia/proto/gen/storage";
import { RefuseReason, refuseReasonToJSON } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import type { SaveBatch, StorageClient } from "@bilancia/proto/services";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { expectEqual, Violation } from "./violation.js";

/** A final answer to a file, or the going on of one that does not fit into a message. */
export type Outcome = NonNullable<SaveResult["outcome"]>;

/** How a stream ended. */
export interface StreamEnd {
  readonly code: status;
  readonly details: string;
}

/**
 * One `Save` stream, seen from the sender. Keeps the answers by request number, and notes what no server may do: answer a number that was not
 * sent, or answer one twice. Whoever opens it ends it: `close`, which complains of that, or `cancel`.
 */
export class SaveSession {
  /** The overload bit of each message, in order. */
  readonly overloadBits: boolean[] = [];
  /** Resolves with how the stream ended. */
  readonly ended: Promise<StreamEnd>;
  readonly #call: ClientDuplexStream<SaveBatch, SaveResponse>;
  readonly #timeoutMs: number;
  readonly #finals = new Map<bigint, Outcome>();
  /** How many final answers each number may have: as many as it has been begun here. */
  readonly #due = new Map<bigint, number>();
  #strays: string[] = [];
  #end: StreamEnd | undefined;
  #waiting: (() => void)[] = [];

  /** @param timeoutMs how long to wait for an answer */
  constructor(client: StorageClient, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#call = client.save();
    this.#call.on("data", (response: SaveResponse) => this.#receive(response));
    this.ended = new Promise((resolve) => {
      const close = ({ code, details }: StreamEnd) => {
        this.#end ??= { code, details };
        resolve(this.#end);
        this.#wake();
      };
      this.#call.on("error", (error: ServiceError) => close(error));
      this.#call.on("status", close);
    });
  }

  /** How the stream ended, if it has. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** Sends one message. Resolves when there is room for the next, or the stream has ended. @throws Violation when the server does not read on */
  async send(...parts: Part<SaveHeader>[]): Promise<void> {
    for (const { header } of parts)
      if (header) {
        this.#due.set(header.requestNumber, (this.#due.get(header.requestNumber) ?? 0) + 1);
        this.#finals.delete(header.requestNumber);
      }
    if (this.#end || this.#call.write({ parts })) return;
    let drained = false;
    this.#call.once("drain", () => {
      drained = true;
      this.#wake();
    });
    await this.#until(() => drained || this.#end !== undefined, "the server did not read on");
  }

  /** Sends parts one to a message, until the server has answered the file. */
  async sendParts(parts: readonly Part<SaveHeader>[], requestNumber: bigint): Promise<void> {
    for (const part of parts) {
      if (this.#finals.has(requestNumber)) return;
      await this.send(part);
    }
  }

  /** The final answer to a file, if it has come. */
  answered(requestNumber: bigint): Outcome | undefined {
    return this.#finals.get(requestNumber);
  }

  /** The final answer to a file. @throws Violation when it does not come */
  async final(requestNumber: bigint): Promise<Outcome> {
    await this.#until(
      () => this.#finals.has(requestNumber) || this.#end !== undefined,
      `no final answer for request number ${requestNumber} came`,
    );
    const outcome = this.#finals.get(requestNumber);
    if (outcome) return outcome;
    throw new Violation(
      `the stream ended (${describeEnd(this.#end)}) before request number ${requestNumber} was answered`,
    );
  }

  /** @throws Violation when the file is not stored */
  async saved(requestNumber: bigint): Promise<SaveSaved> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case === "saved") return outcome.value;
    throw new Violation(
      `request number ${requestNumber} was answered with ${describeOutcome(outcome)}; expected saved`,
    );
  }

  /** @throws Violation when the file is not refused, or not for one of the reasons */
  async refused(requestNumber: bigint, ...reasons: RefuseReason[]): Promise<void> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case === "refused" && reasons.includes(outcome.value.reason)) return;
    const expected = reasons.map(reasonName).join(" or ");
    throw new Violation(
      `request number ${requestNumber} was answered with ${describeOutcome(outcome)}; expected refused ${expected}`,
    );
  }

  /** Waits for the end of the stream. @throws Violation when it does not come, or with another status */
  async endsWith(code: status): Promise<void> {
    await this.#until(() => this.#end !== undefined, `the server did not end the stream with ${status[code]}`);
    expectEqual(describeEnd(this.#end, false), status[code], "the status of the stream");
  }

  /** Half-closes; the server must end with OK, and must not have answered what was not asked. @throws Violation */
  async close(): Promise<void> {
    this.#call.end();
    await this.endsWith(status.OK);
    const [stray] = this.#strays;
    if (stray) throw new Violation(stray);
  }

  /** Breaks the stream off. */
  cancel(): void {
    this.#call.cancel();
  }

  #receive({ results, overloaded }: SaveResponse): void {
    this.overloadBits.push(overloaded);
    for (const { requestNumber, outcome } of results) {
      if (!outcome) {
        this.#strays.push(`a result for request number ${requestNumber} has no outcome`);
        continue;
      }
      const due = this.#due.get(requestNumber);
      if (due === undefined)
        this.#strays.push(`an answer came for request number ${requestNumber}, which was not sent on this stream`);
      if (outcome.$case === "accept") continue;
      if (due === 0) this.#strays.push(`request number ${requestNumber} got a second final answer`);
      if (due) this.#due.set(requestNumber, due - 1);
      this.#finals.set(requestNumber, outcome);
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #until(condition: () => boolean, otherwise: string): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, this.#timeoutMs);
    try {
      while (!condition()) {
        if (isLate) throw new Violation(`${otherwise} within ${this.#timeoutMs / 1000} s`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** An answer in words, for messages. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.$case) {
    case "saved":
      return `saved, duplicate: ${outcome.value.duplicate}`;
    case "refused":
      return `refused ${reasonName(outcome.value.reason)} (${outcome.value.message})`;
    default:
      return outcome.$case;
  }
}

function reasonName(reason: RefuseReason): string {
  return (RefuseReason[reason] ?? refuseReasonToJSON(reason)).replace("REFUSE_REASON_", "");
}

function describeEnd(end: StreamEnd | undefined, withDetails = true): string {
  if (!end) return "it is open";
  const name = status[end.code] ?? String(end.code);
  return withDetails && end.details ? `${name}: ${end.details}` : name;
}
