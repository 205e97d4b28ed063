import type { Piece, PieceList } from "./piece.js";
import type { SpoolFile } from "./spool-file.js";

/** Bytes of one write to disk: as many as this are waited for, and a write ends with the piece that fills it. */
export const writeBytes = 1024 * 1024;
/** How long bytes wait for more, to be written together, in milliseconds. */
const gatherMs = 20;

/** What a `PieceWriter` writes, and who hears of it. */
export interface PieceWriterOptions {
  /** The pieces of one upload, as they come. */
  readonly pieces: PieceList;
  readonly file: SpoolFile;
  /** How many of the pieces an earlier run has written. */
  readonly writtenCount: number;
  /** Called for each piece that is on disk now. */
  readonly onWritten: (piece: Piece) => void;
  /** Called when a write has ended, well or not: there may be room for more. */
  readonly onTurn: () => void;
  /** Called once the disk has failed. */
  readonly onFailure: (error: unknown) => void;
}

/** Writes the pieces of one upload to the spool's file, in their order: a MiB at once where more comes soon, and whatever there is where somebody waits for that. */
export class PieceWriter {
  readonly #options: PieceWriterOptions;
  #writtenCount: number;
  #waitingBytes = 0;
  #begun: boolean;
  #stopped = false;
  /** Whether everything is to be written now, however little it is. */
  #hurried = false;
  #gathering: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  /** Why the last write failed. */
  #failure: unknown;

  constructor(options: PieceWriterOptions) {
    this.#options = options;
    this.#writtenCount = options.writtenCount;
    this.#begun = options.writtenCount > 0;
  }

  /** How many pieces are on disk. */
  get writtenCount(): number {
    return this.#writtenCount;
  }

  /** Bytes that have come, and are not on disk. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Whether anything is, or is about to be, on disk. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Hears that bytes have come. They wait until `gather` or `hurry` is called. */
  expect(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  /** Writes once it is worth a write. */
  gather(): void {
    this.#begun = true;
    if (this.#waitingBytes >= writeBytes) this.#write();
    else this.#gathering ??= setTimeout(() => this.hurry(), gatherMs);
  }

  /** Writes everything that has come. */
  hurry(): void {
    this.#begun = true;
    this.#hurried = true;
    this.#write();
  }

  /** Writes everything that has come. Resolves when it is in the file, all of it; else it rejects with what the disk said, or once `stop` came first. */
  async finish(): Promise<void> {
    const { length } = this.#options.pieces;
    this.hurry();
    while (this.#writing) await this.#writing;
    if (this.#writtenCount >= length) return;
    throw this.#failure ?? new Error(`stopped when ${this.#writtenCount} of ${length} pieces were on disk`);
  }

  /** Begins no further write, and reports nothing any more. @returns when the last one has ended */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#endGathering();
    await this.#writing;
  }

  #endGathering(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
  }

  #write(): void {
    this.#endGathering();
    this.#writing ??= this.#writeOut().then(
      () => {
        this.#writing = undefined;
        // What came after the last look, and before it was known that the writing had ended.
        if (!this.#stopped && this.#writtenCount < this.#options.pieces.length) this.#goOn();
        this.#options.onTurn();
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#failure = error;
        if (!this.#stopped) this.#options.onFailure(error);
        this.#options.onTurn();
      },
    );
  }

  #goOn(): void {
    if (this.#hurried) this.#write();
    else this.gather();
  }

  async #writeOut(): Promise<void> {
    const { pieces, file, onWritten, onTurn } = this.#options;
    while (!this.#stopped && (this.#hurried || this.#waitingBytes >= writeBytes)) {
      const batch = pieces.stretch(this.#writtenCount, writeBytes);
      if (batch.length === 0) {
        this.#hurried = false;
        return;
      }
      await file.append(batch);
      this.#writtenCount += batch.length;
      for (const piece of batch) {
        piece.written = true;
        this.#waitingBytes -= piece.length;
        onWritten(piece);
      }
      onTurn();
    }
  }
}
