import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How often the log is looked at for the ready line, in milliseconds. */
const pollMs = 20;

/** A process did not come up. The message is for people and carries the process's own words. */
export class StartError extends Error {}

/** How a process ended: with an exit code, or by a signal. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a process says of itself once it serves. */
export interface ReadyLine {
  readonly address: string;
  readonly adminAddress?: string;
  readonly webAddress?: string;
}

/** What to run. */
export interface ManagedProcessOptions {
  /** Used in messages and as the name of the log files. */
  readonly name: string;
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** Gets `<name>.log` (standard output) and `<name>.err.log` (standard error), both appended to. Made if missing. */
  readonly logDir: string;
}

/**
 * One child process that says once it serves where it listens: in a JSON line with the message `listening`, or in plain words, `listening on HOST:PORT`. Its output goes straight to files, so that a busy
 * parent never holds it up. It leads a process group of its own: Ctrl-C reaches the parent only, which then stops its children
 * in the right order. Whoever makes it stops it.
 */
export class ManagedProcess {
  readonly name: string;
  /** Resolves when the process is gone. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly #child: ChildProcess;
  readonly #out: LogFile;
  readonly #err: LogFile;
  #exit: ProcessExit | undefined;

  constructor(options: ManagedProcessOptions) {
    mkdirSync(options.logDir, { recursive: true });
    this.name = options.name;
    this.#out = new LogFile(path.join(options.logDir, `${options.name}.log`));
    this.#err = new LogFile(path.join(options.logDir, `${options.name}.err.log`));
    const outFd = openSync(this.#out.path, "a");
    const errFd = openSync(this.#err.path, "a");
    const [program = "", ...args] = options.command;
    this.#child = spawn(program, args, {
      stdio: ["ignore", outFd, errFd],
      detached: true,
    });
    closeSync(outFd);
    closeSync(errFd);
    this.exited = new Promise((resolve) => {
      const end = (exit: ProcessExit) => {
        this.#exit = exit;
        resolve(exit);
      };
      this.#child.once("exit", (code, signal) => end({ code, signal }));
      this.#child.once("error", () => end({ code: null, signal: null }));
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new StartError(`${this.name} could not be started`);
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /**
   * Waits for the ready line.
   *
   * @throws StartError when the process ends before it, or does not say it within `timeoutMs`
   */
  async ready(timeoutMs: number): Promise<ReadyLine> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      // Read after the exit was seen, so that the last words are not missed.
      const exit = this.#exit;
      const line = readyLine(this.#out.text()) ?? readyLine(this.#err.text());
      if (exit)
        throw new StartError(`${this.name} ended ${describeExit(exit)} before it was ready${this.#lastWords()}`);
      if (line) return line;
      if (performance.now() > deadlineMs)
        throw new StartError(`${this.name} was not ready after ${timeoutMs} ms${this.#lastWords()}`);
      await delay(pollMs);
    }
  }

  /** What it has written to standard output, and then what to standard error. */
  get output(): string {
    return this.#out.text() + this.#err.text();
  }

  /** Sends a signal; nothing happens when the process is gone. */
  kill(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Asks the process to end, and kills it if it is still there after `graceMs`. */
  async stop(graceMs: number): Promise<ProcessExit> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  #lastWords(): string {
    const words = this.#err.text().trim() || this.#out.text().trim().split("\n").slice(-3).join("\n");
    return words === "" ? "" : `: ${words.slice(-2000)}`;
  }
}

/** Says how a process ended, as the end of a sentence: `with exit code 1`. */
export function describeExit(exit: ProcessExit): string {
  return exit.signal ? `by ${exit.signal}` : `with exit code ${exit.code}`;
}

/** A log file, of which only what was written after this object was made is of interest. */
class LogFile {
  readonly #fromBytes: number;

  constructor(readonly path: string) {
    this.#fromBytes = existsSync(path) ? statSync(path).size : 0;
  }

  text(): string {
    return readFileSync(this.path).subarray(this.#fromBytes).toString();
  }
}

function readyLine(log: string): ReadyLine | undefined {
  // The last piece may be half a line.
  for (const line of log.split("\n").slice(0, -1)) {
    const words = /\blistening on (\S+:\d+)$/.exec(line);
    if (words?.[1] !== undefined) return { address: words[1] };
    if (!line.includes('"listening"')) continue;
    const { msg, address, adminAddress, webAddress } = JSON.parse(line) as { msg?: unknown } & Partial<ReadyLine>;
    if (msg !== "listening" || typeof address !== "string") continue;
    return { address, ...(adminAddress && { adminAddress }), ...(webAddress && { webAddress }) };
  }
  return undefined;
}
