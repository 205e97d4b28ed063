import {
  Capability,
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  type StatRequest,
  type StatResponse,
  type StoredFile,
} from "@bilancia/proto/gen/storage";
import { callUnary } from "@bilancia/proto/unary";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { Observer } from "../ports/observer.js";
import type { AttemptInTerm, Outbox, Rest, SettledUpload, Suspicion } from "../ports/outbox.js";
import type { PooledServer } from "./pooled-server.js";
import { savedProblem, toSavedFile } from "./saved-file.js";
import type { ServerPool } from "./server-pool.js";

const noStat = "the server has no Stat; a copy may remain";
const noDiscard = "the server has no Discard; a copy may remain";
const callTimeoutMs = 5_000;
/** How soon a server is asked again that could not say, in milliseconds. */
const againMs = 1_000;
/** How many files a server is asked about at a time: what it does for one costs it a flush, which it can share among many. */
const atOnceCount = 16;

/**
 * Settles what lost answers leave open. A server that may hold a file is a suspect until the upload has come to rest: if on that server, all is well; if
 * elsewhere, the server is asked (`Stat`) as soon as it can be talked to, and told to `Discard` its copy. Where the balancer itself has lost the
 * bytes, what the server holds is the upload's only copy, and is taken for its outcome.
 */
export class ExtraCopies {
  readonly #pool: ServerPool;
  readonly #outbox: Outbox;
  readonly #ledger: LedgerIdentity;
  readonly #observer: Observer;
  readonly #suspects = new Map<bigint, Suspicion[]>();
  /** Uploads that have come to rest while they have suspects. */
  readonly #settled = new Map<bigint, Rest>();
  readonly #checking = new Set<string>();

  constructor(pool: ServerPool, outbox: Outbox, ledger: LedgerIdentity, observer: Observer) {
    this.#pool = pool;
    this.#outbox = outbox;
    this.#ledger = ledger;
    this.#observer = observer;
    for (const suspicion of outbox.suspicions()) this.suspect(suspicion);
  }

  /** The server that lost the answer to this upload most recently, and how often it did so in a row. */
  lastSuspect(requestNumber: bigint): { server: string; times: number } | undefined {
    const suspects = this.#suspects.get(requestNumber)?.filter(({ isWrong }) => !isWrong);
    const last = suspects?.at(-1);
    if (!suspects || !last) return undefined;
    let times = 0;
    while (suspects.at(-1 - times)?.server === last.server) times += 1;
    return { server: last.server, times };
  }

  /** The servers that hold something else than was sent for this upload. */
  wrongOn(requestNumber: bigint): string[] {
    return this.#suspects.get(requestNumber)?.flatMap(({ server, isWrong }) => (isWrong ? [server] : [])) ?? [];
  }

  /** How many files a server may hold of which it is not known whether it does. */
  countOn(server: string): number {
    let count = 0;
    for (const suspects of this.#suspects.values())
      if (suspects.some((suspect) => suspect.server === server)) count += 1;
    return count;
  }

  /** An answer was lost after the finish frame had gone out, or says that something else was stored than was sent. */
  suspect(suspicion: Suspicion): void {
    const suspects = this.#suspects.get(suspicion.requestNumber) ?? [];
    suspects.push(suspicion);
    this.#suspects.set(suspicion.requestNumber, suspects);
    if (suspicion.rests) this.#settled.set(suspicion.requestNumber, suspicion.rests);
  }

  /** An upload has come to its end. */
  settled(upload: SettledUpload): void {
    const { requestNumber } = upload;
    const suspects = this.#suspects.get(requestNumber);
    if (!suspects) return;
    this.#settled.set(requestNumber, upload);
    for (const name of new Set(suspects.map((suspect) => suspect.server))) this.#start(name);
  }

  /** The balancer has lost the bytes of an upload: what a server holds of it is its only copy. */
  bytesLost(requestNumber: bigint): void {
    const suspects = this.#suspects.get(requestNumber) ?? [];
    const asked = suspects.map((suspect) => (suspect.isWrong ? suspect : { ...suspect, bytesGone: true }));
    this.#suspects.set(requestNumber, asked);
    for (const name of new Set(asked.map(({ server }) => server))) this.#start(name);
  }

  /** A server can be talked to again. */
  returned(server: PooledServer): void {
    this.#start(server.backend.name);
  }

  #start(name: string): void {
    const server = this.#pool.get(name);
    if (server?.backend.health.kind !== "healthy" || this.#checking.has(name)) return;
    this.#checking.add(name);
    this.#check(server)
      .catch((error: unknown) =>
        this.#observer.note({ kind: "fault", where: `looking for extra copies on ${name}`, error }),
      )
      .finally(() => this.#checking.delete(name));
  }

  async #check(server: PooledServer): Promise<void> {
    const { name } = server.backend;
    for (let due = this.#due(name); due.length > 0; due = this.#due(name)) {
      // When the server cannot be talked to now, all of this is tried again on its return; what it can say nothing of, soon, behind the others.
      if (server.backend.health.kind !== "healthy") return;
      const known = await Promise.all(due.map((suspicion) => this.#settle(server, suspicion)));
      if (known.some((one) => one)) continue;
      setTimeout(() => this.#start(name), againMs).unref();
      return;
    }
  }

  /** @returns whether the server could say */
  async #settle(server: PooledServer, due: Suspicion): Promise<boolean> {
    const { name } = server.backend;
    const { requestNumber, uploadId } = due;
    const settled = this.#settled.get(requestNumber);
    const kept = settled?.server === name;
    const result = kept ? "kept" : await (settled ? this.#remove(server, due, settled) : this.#adopt(server, due));
    if (result === "unreachable") {
      this.#toTheEnd(requestNumber);
      return false;
    }
    if (result === "sent again" || result === "wrong") {
      // Still a suspect, to be looked at once the upload has come to rest.
      this.#replace(due, { ...due, bytesGone: false, ...(result === "wrong" && { isWrong: true }) });
      return true;
    }
    if (result !== "kept") {
      const discarded = result === "discarded";
      this.#observer.note({ kind: "extra-copy", requestNumber, uploadId, server: name, discarded, result });
    }
    this.#clear(name, due);
    return true;
  }

  /**
   * The latest suspicion against a server of each upload that can be settled: one that has come to rest (to discard covers the earlier ones), or
   * whose bytes are gone. So many at most as are settled at once.
   */
  #due(name: string): Suspicion[] {
    const due: Suspicion[] = [];
    for (const [requestNumber, suspects] of this.#suspects) {
      const isSettled = this.#settled.has(requestNumber);
      const suspect = suspects.findLast(({ server, bytesGone }) => server === name && (isSettled || bytesGone));
      if (suspect) due.push(suspect);
      if (due.length === atOnceCount) break;
    }
    return due;
  }

  /** Takes what the server holds for the upload's outcome. */
  async #adopt(server: PooledServer, suspect: Suspicion): Promise<string> {
    const held = await this.#ask(server, suspect);
    if (typeof held === "string") return held;
    const saved = toSavedFile(held);
    const problem = savedProblem(saved, {});
    if (problem) return `none found: the server reports ${problem}`;
    const storedBy = storedByOf(held);
    const found = this.#outbox.found(suspect.requestNumber, server.backend.name, { saved, storedBy });
    return found === "taken" ? "found stored" : found;
  }

  /** What a server holds of an upload, or why there is nothing to go by. */
  async #ask(server: PooledServer, { requestNumber, uploadId }: Suspicion): Promise<StoredFile | string> {
    const { storage } = server.link;
    if (!server.offers(Capability.CAPABILITY_STAT)) return noStat;
    try {
      const { holding, file } = await callUnary<StatRequest, StatResponse>(
        storage.stat.bind(storage),
        { origin: this.#ledger.origin, requestNumber },
        callTimeoutMs,
      );
      if (holding === Holding.HOLDING_RECEIVING) return "unreachable";
      return holding === Holding.HOLDING_STORED && file?.uploadId === uploadId ? file : "none found";
    } catch (error) {
      return (error as ServiceError).code === status.UNIMPLEMENTED ? noStat : "unreachable";
    }
  }

  async #remove(server: PooledServer, suspect: Suspicion, { mark }: Rest): Promise<string> {
    // Attempts whose end was never sent, or that it refused, the server has seen too: so all are named that did not store the file, and none that did.
    if ("lastOther" in mark) return this.#discard(server, suspect, mark.lastOther);
    const held = await this.#ask(server, suspect);
    if (held === "unreachable") return held;
    if (typeof held !== "string") {
      const { term, attempt } = storedByOf(held);
      // No other server has got the file in that attempt: this one is another address of it.
      if (term === mark.storedBy.term && attempt === mark.storedBy.attempt) return "kept";
    }
    return this.#discard(server, suspect, { term: this.#ledger.term, attempt: 0 });
  }

  async #discard(server: PooledServer, suspect: Suspicion, upTo: AttemptInTerm): Promise<string> {
    const { storage } = server.link;
    if (!server.offers(Capability.CAPABILITY_DISCARD)) return noDiscard;
    const { requestNumber, uploadId } = suspect;
    const { origin } = this.#ledger;
    const term = BigInt(upTo.term);
    const attempt = Math.max(suspect.attempt, upTo.attempt);
    try {
      // Also what is not there is discarded: the server then refuses frames of the lost attempt that are still on their way.
      const { discarded } = await callUnary<DiscardRequest, DiscardResponse>(
        storage.discard.bind(storage),
        { origin, requestNumber, uploadId, term, attempt },
        callTimeoutMs,
      );
      return discarded ? "discarded" : "none found";
    } catch (error) {
      const { code, details } = error as ServiceError;
      if (code === status.UNIMPLEMENTED) return noDiscard;
      if (code === status.FAILED_PRECONDITION) return `not discarded: ${details}`;
      return "unreachable";
    }
  }

  /** Has the others looked at first: what cannot be settled for long must not keep them waiting. */
  #toTheEnd(requestNumber: bigint): void {
    const suspects = this.#suspects.get(requestNumber);
    if (!suspects) return;
    this.#suspects.delete(requestNumber);
    this.#suspects.set(requestNumber, suspects);
  }

  #replace(suspicion: Suspicion, by: Suspicion): void {
    const suspects = this.#suspects.get(suspicion.requestNumber) ?? [];
    this.#suspects.set(
      suspicion.requestNumber,
      suspects.map((other) => (other === suspicion ? by : other)),
    );
  }

  /** What a later attempt may have left there is not settled by this. */
  #clear(name: string, { requestNumber, attempt }: Suspicion): void {
    this.#outbox.cleared(requestNumber, name, attempt);
    const isOpen = (suspect: Suspicion) => suspect.server !== name || suspect.attempt > attempt;
    const left = this.#suspects.get(requestNumber)?.filter(isOpen) ?? [];
    if (left.length > 0) {
      this.#suspects.set(requestNumber, left);
      return;
    }
    this.#suspects.delete(requestNumber);
    this.#settled.delete(requestNumber);
  }
}

function storedByOf({ term, attempt }: StoredFile): AttemptInTerm {
  return { term: Number(term), attempt };
}
