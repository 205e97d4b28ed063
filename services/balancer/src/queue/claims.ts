import type { ClaimEnd } from "../domain/claim.js";
import type { UploadName } from "../domain/occurrence.js";
import type { Observer } from "../ports/observer.js";
import { NumberFifo } from "./number-fifo.js";

interface Claim {
  readonly upload: UploadName;
  readonly server: string;
  untilMs: number;
  /** Whether its number stands in the common line. */
  inLine: boolean;
  /** Whether it waits for its server, or is on its way. */
  waiting: boolean;
}

/** What waits for one server. */
interface ServerLine {
  /** What was with it before, and comes back: that goes first. */
  readonly returned: NumberFifo;
  readonly fresh: NumberFifo;
}

/** Claims that are over. */
export interface EndedClaims {
  /** How many uploads had been waiting for their server. */
  readonly files: number;
  /** Those of them that have to be put back in the common line. */
  readonly back: readonly bigint[];
}

/** How many uploads one server may have claimed. */
const maxClaims = 10_000;

/**
 * Who has claimed which upload: for each server a line of its own. A number that is claimed keeps its place in the common line until its turn comes
 * there; then it is passed over, and has to be put back when the claim ends. Each claim that is made, and how it ends, is told to the observer.
 */
export class Claims {
  readonly #claims = new Map<bigint, Claim>();
  readonly #lines = new Map<string, ServerLine>();
  readonly #counts = new Map<string, number>();
  readonly #observer: Observer;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  /** The server that has claimed an upload. */
  by(requestNumber: bigint): string | undefined {
    return this.#of(requestNumber)?.server;
  }

  hasRoom(server: string): boolean {
    return (this.#counts.get(server) ?? 0) < maxClaims;
  }

  /** Claims an upload that stands in the common line, or renews a claim. Returns whether it is a new one. */
  claim(upload: UploadName, server: string, untilMs: number): boolean {
    const { requestNumber } = upload;
    const known = this.#of(requestNumber);
    if (known) {
      known.untilMs = untilMs;
      return false;
    }
    this.#claims.set(requestNumber, { upload, server, untilMs, inLine: true, waiting: false });
    this.#counts.set(server, (this.#counts.get(server) ?? 0) + 1);
    this.#observer.note({ kind: "claimed", upload, server });
    return this.wait(requestNumber);
  }

  /** The turn of an upload has come in the common line: whether it is to be passed over because it is claimed. */
  passOver(requestNumber: bigint): boolean {
    const claim = this.#of(requestNumber);
    if (claim) claim.inLine = false;
    return claim !== undefined;
  }

  /**
   * Puts an upload into its server's line. Returns false where nobody has claimed it.
   *
   * @param returned whether it was under way before. Default: it was not
   */
  wait(requestNumber: bigint, returned = false): boolean {
    const claim = this.#of(requestNumber);
    if (!claim) return false;
    claim.waiting = true;
    const line = this.#lines.get(claim.server) ?? { returned: new NumberFifo(), fresh: new NumberFifo() };
    (returned ? line.returned : line.fresh).push(requestNumber);
    this.#lines.set(claim.server, line);
    return true;
  }

  /** The servers for which claimed uploads may be waiting. */
  get servers(): Iterable<string> {
    return this.#lines.keys();
  }

  /** Takes the next upload out of a server's line. It stays claimed until it is dropped. */
  next(server: string): bigint | undefined {
    const line = this.#lines.get(server);
    const shift = () => line?.returned.shift() ?? line?.fresh.shift();
    for (let number = shift(); number !== undefined; number = shift()) {
      const claim = this.#claims.get(number);
      if (!claim?.waiting || claim.server !== server) continue;
      claim.waiting = false;
      return number;
    }
    this.#lines.delete(server);
    return undefined;
  }

  /** Ends one claim whose upload needs no place in line, because it has ended or will be put there anyway. */
  drop(requestNumber: bigint, end: ClaimEnd): void {
    const claim = this.#of(requestNumber);
    if (!claim) return;
    this.#claims.delete(requestNumber);
    const left = (this.#counts.get(claim.server) ?? 0) - 1;
    if (left > 0) this.#counts.set(claim.server, left);
    else this.#counts.delete(claim.server);
    this.#observer.note({ kind: "claim-ended", upload: claim.upload, server: claim.server, end });
  }

  /** Ends all claims of a server that cannot be talked to. */
  end(server: string): EndedClaims {
    this.#lines.delete(server);
    return this.#end("unreachable", (claim) => claim.server === server);
  }

  /** Ends the claims that are over at a time. */
  expire(nowMs: number): EndedClaims {
    return this.#end("expired", ({ untilMs }) => untilMs <= nowMs);
  }

  #of(requestNumber: bigint): Claim | undefined {
    // Asked for every upload that goes out, and there are hardly ever any claims.
    return this.#claims.size === 0 ? undefined : this.#claims.get(requestNumber);
  }

  #end(end: ClaimEnd, isOver: (claim: Claim) => boolean): EndedClaims {
    let files = 0;
    const back: bigint[] = [];
    for (const [requestNumber, claim] of this.#claims) {
      if (!isOver(claim)) continue;
      this.drop(requestNumber, end);
      if (!claim.waiting) continue;
      files += 1;
      if (!claim.inLine) back.push(requestNumber);
    }
    return { files, back };
  }
}
