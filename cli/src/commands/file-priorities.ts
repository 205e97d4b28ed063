import { InvalidArgumentError } from "commander";
import type { UploadPriority } from "../client/upload-source.js";

/** The files whose names a pattern fits, and how urgent they are. */
interface PriorityRule {
  readonly pattern: RegExp;
  readonly priority: UploadPriority;
}

/** How urgent files are, by their names. */
export class FilePriorities {
  readonly #rules: readonly PriorityRule[];

  constructor(rules: readonly PriorityRule[] = []) {
    this.#rules = rules;
  }

  /** The priority of a file: that of the last pattern that fits its name, else normal. */
  of(name: string): UploadPriority {
    return this.#rules.findLast(({ pattern }) => pattern.test(name))?.priority ?? "normal";
  }

  /**
   * The priorities with what one more option says: `LEVEL` for all files, or `PATTERN=LEVEL` for those whose names fit.
   *
   * @throws InvalidArgumentError
   */
  with(text: string): FilePriorities {
    const at = text.lastIndexOf("=");
    const priority = text.slice(at + 1);
    if (!isPriority(priority) || at === 0)
      throw new InvalidArgumentError(
        `expected low, normal or high, or PATTERN=LEVEL, for example '*.log=low'; got '${text}'`,
      );
    return new FilePriorities([...this.#rules, { pattern: globPattern(at < 0 ? "*" : text.slice(0, at)), priority }]);
  }
}

function isPriority(text: string): text is UploadPriority {
  return text === "low" || text === "normal" || text === "high";
}

/** Names as a shell would match them: `*` is any text, `?` one character, all else itself. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/[.*+?^${}()|[\]\\]/g, (sign) =>
    sign === "*" ? ".*" : sign === "?" ? "." : `\\${sign}`,
  );
  return new RegExp(`^${source}$`, "su");
}
