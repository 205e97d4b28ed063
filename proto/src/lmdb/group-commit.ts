import type { RootDatabase } from "lmdb";

/** How an environment is opened whose writes go through `GroupCommit`. */
export const groupCommitOptions = {
  // With it a write would resolve before it is flushed.
  overlappingSync: false,
  // It makes a promise of its own for each transaction, which nobody can catch: a failing disk would end the process before it could say why.
  eventTurnBatching: false,
} as const;

/** How long writes wait for company that nobody waits for, in milliseconds. */
const lazyMs = 10;

/** What a write asks for besides being made. */
export interface GroupWriteOptions {
  /** Whether nobody waits for it: it goes with the next one that somebody waits for, or alone after some milliseconds. Default: false. */
  readonly lazy?: boolean;
  /** Called when it has been made or has failed. */
  readonly done?: () => void;
}

/** Writes that become durable together. */
interface WriteGroup {
  readonly writes: (() => Promise<unknown>[])[];
  readonly done: (() => void)[];
  readonly written: Promise<void>;
  readonly begin: () => void;
  immediate?: NodeJS.Immediate;
  timer?: NodeJS.Timeout;
}

/** The writes of an LMDB environment: those of one turn of the event loop are one transaction, and share a flush. */
export class GroupCommit {
  readonly #root: () => Pick<RootDatabase, "batch">;
  readonly #failure: typeof asError;
  #failed: Error | undefined;
  /** What is written at the end of this turn of the event loop, or a little later. */
  #group: WriteGroup | undefined;
  readonly #writing = new Set<Promise<void>>();

  /**
   * @param root the environment as it is then, opened with `groupCommitOptions`
   * @param failure makes of the cause of the first failure the error with which that write and all later ones reject; called once. Default: the cause itself
   */
  constructor(root: () => Pick<RootDatabase, "batch">, failure = asError) {
    this.#root = root;
    this.#failure = failure;
  }

  /** The error with which all writes reject since the first failure. */
  get failed(): Error | undefined {
    return this.#failed;
  }

  /**
   * Makes writes in one transaction, in the order in which they are asked for. Where it fails, all who wait for it are told so.
   *
   * @param writes called when the transaction is made; the writes of it, begun. It must not throw
   */
  write(writes: () => Promise<unknown>[], { lazy = false, done }: GroupWriteOptions = {}): Promise<void> {
    this.#group ??= this.#makeGroup();
    const group = this.#group;
    group.writes.push(writes);
    if (done) group.done.push(done);
    if (lazy) group.timer ??= setTimeout(group.begin, lazyMs);
    else group.immediate ??= setImmediate(group.begin);
    return group.written;
  }

  /** Nothing is written any more: what LMDB could not write it may take for written later. */
  fail(cause: unknown): Error {
    this.#failed ??= this.#failure(cause);
    return this.#failed;
  }

  /** Begins what waits, and resolves when all that was asked for until now has been made or has failed. */
  async settled(): Promise<void> {
    this.#group?.begin();
    await Promise.allSettled(this.#writing);
  }

  #makeGroup(): WriteGroup {
    let follow: (commit: Promise<void>) => void = () => {};
    const written = new Promise<void>((resolve) => {
      follow = resolve;
    });
    const group: WriteGroup = {
      ...{ writes: [], done: [], written },
      begin: () => {
        if (this.#group !== group) return;
        this.#group = undefined;
        clearTimeout(group.timer);
        follow(this.#commit(group));
      },
    };
    this.#writing.add(written);
    const ended = () => this.#writing.delete(written);
    written.then(ended, ended);
    return group;
  }

  async #commit({ writes, done }: WriteGroup): Promise<void> {
    const made: Promise<unknown>[] = [];
    try {
      if (this.#failed) throw this.#failed;
      const batch = this.#root().batch(() => {
        for (const write of writes) made.push(...write());
      });
      await Promise.all([batch, ...made]);
    } catch (error) {
      // Also where LMDB found no room, which it should never see: it may be of no use then, to readers neither. The cause is asked for each time: it is a promise that rejects.
      throw this.fail(await causeOf(error));
    } finally {
      for (const over of done) over();
    }
  }
}

/** Why a write has failed: of one that failed together with others, LMDB's error only refers to the cause, by a promise that rejects by itself. */
async function causeOf(error: unknown): Promise<unknown> {
  const cause: unknown = await (error as { commitError?: Promise<unknown> }).commitError?.catch((reason) => reason);
  return cause ?? error;
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
