import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The real program. */
export const launcher = fileURLToPath(new URL("../../bin/lb-cli.js", import.meta.url));

/** How a run of the real program ended. */
export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a run is given besides its arguments. */
export interface CliInput {
  readonly stdin?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with the child's pid at once. */
  readonly onStart?: (pid: number) => void;
  /** Called with the child's pid and what it has written to stderr, after each piece. */
  readonly onStderr?: (pid: number, stderr: string) => void;
}

/** Runs `lb-cli` as a child process, without a terminal, to its end. */
export function runCli(args: readonly string[], input: CliInput = {}): Promise<CliRun> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...input.env };
    const child = spawn(process.execPath, [launcher, ...args], { env, ...(input.cwd ? { cwd: input.cwd } : {}) });
    if (child.pid !== undefined) input.onStart?.(child.pid);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (child.pid !== undefined) input.onStderr?.(child.pid, stderr);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    // The program may end before it has read everything.
    child.stdin.on("error", () => {});
    child.stdin.end(input.stdin ?? "");
  });
}
