import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What is to happen to a process at its system calls. */
export interface Injection {
  /** Names of system calls. */
  readonly calls: readonly string[];
  /** `signal=KILL` or `error=EIO`, in strace's words. */
  readonly what: string;
  /** Which of these calls, counted in each thread from the attachment on: `3`, or `3+` for that and all later ones. */
  readonly when: string;
  /** Only calls that concern these files and folders; all calls by default. They need not be there yet. */
  readonly paths?: readonly string[];
}

const attachTimeoutMs = 10_000;
const detachTimeoutMs = 2_000;

/** strace, attached to a running process and all that it starts. Whoever attaches it detaches it. */
export class SyscallInjector {
  /** When calls were tampered with, in milliseconds since 1970, and the calls, for people. */
  readonly injected: { readonly atMs: number; readonly call: string }[] = [];
  readonly #strace: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(strace: ChildProcess) {
    this.#strace = strace;
    this.#ended = new Promise((resolve) => strace.once("close", () => resolve()));
  }

  /** @throws Error where strace is missing, or may not attach */
  static async attach(pid: number, { calls, what, when, paths = [] }: Injection): Promise<SyscallInjector> {
    const names = calls.join();
    const strace = spawn(
      "strace",
      [
        ...["-f", "-ttt", "-p", String(pid), "-e", `trace=${names}`, "-e", `inject=${names}:${what}:when=${when}`],
        ...paths.flatMap((path) => ["-P", path]),
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const injector = new SyscallInjector(strace);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`strace has not attached within ${attachTimeoutMs} ms`)),
        attachTimeoutMs,
      );
      const words: string[] = [];
      strace.once("error", (error) =>
        reject(new Error(`strace cannot be used (apt-get install strace): ${error.message}`)),
      );
      strace.once("exit", (code) => reject(new Error(`strace ended with ${code}: ${words.join("; ")}`)));
      createInterface(strace.stderr as NodeJS.ReadableStream).on("line", (line) => {
        if (/attached/.test(line)) {
          clearTimeout(timer);
          resolve();
        } else if (/INJECTED|killed by SIGKILL/.test(line)) injector.#note(line);
        if (words.length < 10) words.push(line);
      });
    });
    return injector;
  }

  /** Lets the process go on untroubled, if it is still there. */
  async detach(): Promise<void> {
    this.#strace.kill("SIGTERM");
    // It has been seen to wait for ever for a process that is ending.
    const timer = setTimeout(() => this.#strace.kill("SIGKILL"), detachTimeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }

  #note(line: string): void {
    const atMs = Number(/\b(\d{10}\.\d+) /.exec(line)?.[1] ?? 0) * 1_000;
    this.injected.push({ atMs, call: line.slice(0, 160) });
  }
}
