/** One finished system call, as `strace -f -y -xx -v` prints it. */
export interface SystemCall {
  readonly thread: number;
  readonly name: string;
  /** The text between the brackets. */
  readonly args: string;
  /** The number it returned; -1 for a failure. */
  readonly result: number;
  /** How many calls had finished when it began. */
  readonly begunAt: number;
}

const linePattern = /^(\d+) +(?:<\.\.\. (\w+) resumed>|([\w?]+)\()/;
const unfinished = " <unfinished ...>";

/**
 * The finished system calls of a trace, in the order in which they finished. A call that the end of its process cut off is left out: what it did is not known.
 *
 * @throws Error on a line that is no call, signal or exit
 */
export function parseCalls(trace: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const begun = new Map<string, { readonly text: string; readonly begunAt: number }>();
  for (const line of trace.split("\n")) {
    if (line === "" || / (\+\+\+|---) /.test(line)) continue;
    const [head, thread, resumed, direct] = linePattern.exec(line) ?? [];
    const name = resumed ?? direct;
    if (head === undefined || thread === undefined || name === undefined) {
      throw new Error(`not a line of strace: ${line.slice(0, 200)}`);
    }
    let text = line.slice(head.length);
    if (text.endsWith(unfinished)) {
      begun.set(thread, { text: text.slice(0, -unfinished.length), begunAt: calls.length });
      continue;
    }
    let begunAt = calls.length;
    if (resumed !== undefined) {
      const first = begun.get(thread);
      begun.delete(thread);
      text = (first?.text ?? "") + text;
      begunAt = first?.begunAt ?? begunAt;
    }
    const end = text.lastIndexOf(") ");
    const result = /= (-?\d+)/.exec(text.slice(end));
    // `= ?`: its process ended meanwhile.
    if (result?.[1] === undefined) continue;
    calls.push({ thread: Number(thread), name, args: text.slice(0, end), result: Number(result[1]), begunAt });
  }
  return calls;
}

/** The strings of a call, in order, as bytes. */
export function stringsOf(args: string): Buffer[] {
  return Array.from(args.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g), ([, hex = "", cut]) => {
    if (cut !== undefined) throw new Error("strace has cut a string short");
    return Buffer.from(hex.replaceAll("\\x", ""), "hex");
  });
}

/** The open file that a call's first argument names. */
export function descriptorOf(args: string): number {
  return Number.parseInt(args, 10);
}
