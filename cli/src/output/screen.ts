import { once } from "node:events";
import type { WriteStream } from "node:tty";
import { styleText } from "node:util";

/** A way to set words off. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Where a command writes: results to the output, everything else to the side. */
export interface Screen {
  /** Width of the output in columns; `undefined` when it is no terminal, and lines may have any length. */
  readonly columns: number | undefined;
  /** The side channel, for progress. */
  readonly side: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** Writes a line, or several, of result. Resolves when there is room for more. */
  print(text: string): Promise<void>;
  /** Writes a line that is no result: a warning, an error, a remark. */
  remark(text: string): void;
  /** Text with a style, for `print`. */
  paint(style: Style, text: string): string;
  /** Text with a style, for `remark`. */
  paintSide(style: Style, text: string): string;
}

/** The screen of a process: standard output and standard error, with colours where a terminal shows them and `NO_COLOR` is not set. */
export function processScreen(stdout: WriteStream, stderr: WriteStream, env: NodeJS.ProcessEnv): Screen {
  const wanted = !env.NO_COLOR && env.TERM !== "dumb";
  const painter = (stream: WriteStream) => (style: Style, text: string) =>
    wanted && stream.isTTY ? styleText(style, text) : text;
  return {
    get columns() {
      return stdout.isTTY ? stdout.columns || 80 : undefined;
    },
    side: stderr,
    async print(text) {
      if (!stdout.write(`${text}\n`)) await once(stdout, "drain");
    },
    remark(text) {
      stderr.write(`${text}\n`);
    },
    paint: painter(stdout),
    paintSide: painter(stderr),
  };
}
