import { RefuseReason } from "@bilancia/proto/gen/storage";
import { compareFences, describeFence, type Fence, Fences } from "./fences.js";
import { type AttemptedFile, type FileId, fileKey } from "./file-id.js";
import { Refusal } from "./refusal.js";

/**
 * How far a file in progress is: `checking` what is known of it, `receiving` its bytes, `committing` it to disk, or `done` on disk with the
 * answer still due. Only a file that is receiving can be taken over; for the others their outcome is waited for.
 */
export type Phase = "checking" | "receiving" | "committing" | "done";

/** The right to work on a file, held by one attempt at a time. Whoever got it releases it. */
export interface Claim {
  phase: Phase;
  release(): void;
}

interface ActiveFile {
  readonly attempted: AttemptedFile;
  readonly claim: Claim;
  /** Asks the holder to give up. */
  readonly supersede: () => void;
  readonly onReleased: (() => void)[];
}

/**
 * The files in progress: sees to it that one attempt at a time works on a file, and that a later attempt wins over an earlier one.
 * Of two equal attempts at once, the second takes over if the first is still receiving (its sender has lost the first stream), and
 * otherwise waits for the first one's outcome.
 */
export class FileRegistry {
  readonly #active = new Map<string, ActiveFile>();
  readonly #fences: Fences;
  readonly #ownerOf: (id: FileId) => string | undefined;

  /**
   * @param fencesLimitCount how many files without a record are remembered, for their fence
   * @param ownerOf whose upload a stored file is, if there is one: attempts of another one do not count
   */
  constructor(fencesLimitCount: number, ownerOf: (id: FileId) => string | undefined) {
    this.#fences = new Fences(fencesLimitCount);
    this.#ownerOf = ownerOf;
  }

  /**
   * Takes the right to work on a file: at once, or, if someone else has it, once that is over.
   *
   * @param onSuperseded called when a later attempt wants the file and the claim is `receiving`, or becomes it: stop, then release
   * @throws Refusal STALE_ATTEMPT when a later attempt has been seen, NUMBER_TAKEN when another upload is in progress under the number
   */
  claim(attempted: AttemptedFile, onSuperseded: () => void): Claim | Promise<Claim> {
    const key = fileKey(attempted.id);
    return this.#active.has(key)
      ? this.#claimLater(key, attempted, onSuperseded)
      : this.#take(key, attempted, onSuperseded);
  }

  async #claimLater(key: string, attempted: AttemptedFile, onSuperseded: () => void): Promise<Claim> {
    for (let active = this.#active.get(key); active; active = this.#active.get(key)) {
      if (active.attempted.uploadId !== attempted.uploadId) throw numberTaken(attempted.id);
      throwIfStale(attempted.fence, active.attempted.fence);
      if (active.claim.phase === "receiving") active.supersede();
      await new Promise<void>((resolve) => active.onReleased.push(resolve));
    }
    return this.#take(key, attempted, onSuperseded);
  }

  #take(key: string, attempted: AttemptedFile, supersede: () => void): Claim {
    throwIfStale(attempted.fence, this.#fences.get(key));
    this.saw(attempted);
    const onReleased: (() => void)[] = [];
    let phase: Phase = "checking";
    const claim: Claim = {
      get phase() {
        return phase;
      },
      set phase(next) {
        phase = next;
        // Whoever came before it could be taken over waits already, and does not ask again.
        if (next === "receiving" && onReleased.length > 0) supersede();
      },
      release: () => {
        this.#active.delete(key);
        for (const go of onReleased) go();
      },
    };
    this.#active.set(key, { attempted, claim, supersede, onReleased });
    return claim;
  }

  /** How far a file in progress is; `undefined` when there is none. */
  phaseOf(id: FileId): Phase | undefined {
    return this.#active.get(fileKey(id))?.claim.phase;
  }

  /** Notes an attempt, also one that was refused before it claimed its file: lower ones are out of date from then on. */
  saw({ id, uploadId, fence }: AttemptedFile): void {
    if ((this.#ownerOf(id) ?? uploadId) === uploadId) this.#fences.raise(fileKey(id), fence);
  }

  /** The file's record holds this fence from now on. */
  recorded({ id, fence }: AttemptedFile): void {
    const seen = this.#fences.get(fileKey(id));
    if (seen && compareFences(seen, fence) <= 0) this.#fences.forget(fileKey(id));
  }
}

/** @throws Refusal STALE_ATTEMPT when a later attempt has been seen */
export function throwIfStale(fence: Fence, seen: Fence | undefined): void {
  if (seen && compareFences(fence, seen) < 0)
    throw staleAttempt(`${describeFence(fence)} came after ${describeFence(seen)}`);
}

/** The refusal of an attempt that is out of date. */
export function staleAttempt(why: string): Refusal {
  return new Refusal(RefuseReason.REFUSE_REASON_STALE_ATTEMPT, `a later attempt has been seen: ${why}`);
}

/** The refusal of another upload under a known request number. */
export function numberTaken({ requestNumber }: FileId): Refusal {
  return new Refusal(
    RefuseReason.REFUSE_REASON_NUMBER_TAKEN,
    `request number ${requestNumber} belongs to another upload of this origin`,
  );
}
