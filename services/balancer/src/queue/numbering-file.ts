import { readFile, rename } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "@bilancia/proto/replace-file";
import { crc32c } from "@node-rs/crc32";

/** What is kept of the numbering. */
export interface SavedNumbering {
  readonly origin: string;
  readonly term: number;
  /** Every number up to and including this one may have been given out. */
  readonly reservedUpTo: bigint;
}

/** What there is, and what was wrong with it. */
export interface ReadNumbering {
  /** `undefined` where nothing has been kept yet. */
  readonly saved: SavedNumbering | undefined;
  /** For people. */
  readonly problems: readonly string[];
}

/**
 * Where the numbering is kept: `numbering.json` in the state folder, and `numbering-copy.json`, which is written after it. Where the two differ the greater numbers count: at
 * worst some are skipped. One of the two alone is enough. They can be edited by hand.
 */
export class NumberingFile {
  readonly #file: string;
  readonly #copy: string;

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, "numbering.json");
    this.#copy = path.join(stateDir, "numbering-copy.json");
  }

  /**
   * What is kept. A damaged file is moved aside where the other one is whole.
   *
   * @throws Error where neither can be understood: to go on would give numbers out twice
   */
  async read(): Promise<ReadNumbering> {
    const [first, found] = await Promise.all([read(this.#file), read(this.#copy)]);
    if (first === "absent" && found === "absent") return { saved: undefined, problems: [] };
    // Somebody has put another numbering there.
    const isOther = typeof first === "object" && typeof found === "object" && first.origin !== found.origin;
    const copy = isOther ? "of another origin" : found;
    const [one, other = one] = [first, copy].filter((each) => typeof each === "object");
    if (!one || !other) throw new Error(this.#helpless());
    const saved = {
      origin: one.origin,
      term: Math.max(one.term, other.term),
      // biome-ignore lint/complexity/useMathMinMax: Math.max knows no bigint
      reservedUpTo: one.reservedUpTo > other.reservedUpTo ? one.reservedUpTo : other.reservedUpTo,
    };
    const problems: string[] = [];
    if (first === "absent") problems.push(`${this.#file} was missing; ${this.#copy} took its place`);
    if (first === "damaged") problems.push(`${this.#file} was damaged; it is now ${await moveAside(this.#file)}`);
    // Earlier versions wrote no copy.
    if (copy === "damaged" || copy === "of another origin")
      problems.push(`${this.#copy} was ${copy}; it is now ${await moveAside(this.#copy)}`);
    return { saved, problems };
  }

  /** Resolves once it is durable, in both. */
  async write({ origin, term, reservedUpTo }: SavedNumbering): Promise<void> {
    const kept = { origin, originCrc32c: crc32c(origin), term, reservedUpTo: String(reservedUpTo) };
    const text = `${JSON.stringify(kept)}\n`;
    await replaceFile(this.#file, text);
    await replaceFile(this.#copy, text);
  }

  #helpless(): string {
    return (
      `${this.#file} is damaged or missing, and its copy is not whole: expected {"origin":"<32 hex digits>","term":N,"reservedUpTo":"N"}. ` +
      `Restore it from a backup, or remove it and ${path.basename(this.#copy)} to begin a new origin.`
    );
  }
}

async function read(file: string): Promise<SavedNumbering | "absent" | "damaged"> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "absent";
    throw error;
  }
  try {
    const { origin, originCrc32c, term, reservedUpTo } = JSON.parse(text);
    const isWhole =
      /^[0-9a-f]{32}$/.test(origin) &&
      // Earlier versions wrote none.
      (originCrc32c === undefined || originCrc32c === crc32c(origin)) &&
      Number.isSafeInteger(term) &&
      /^[0-9]+$/.test(reservedUpTo);
    return isWhole ? { origin, term, reservedUpTo: BigInt(reservedUpTo) } : "damaged";
  } catch {
    // No JSON, or no object.
    return "damaged";
  }
}

async function moveAside(file: string): Promise<string> {
  const aside = `${file}.damaged-${Date.now()}`;
  await rename(file, aside);
  return aside;
}
