import { spawn } from "node:child_process";
import { lbCliEnvironment, lbCliScript } from "../lb-cli.js";

/** What a process left behind. */
export interface ScriptResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a process. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The process is killed after this time, in milliseconds. Default: 60,000. */
  readonly timeoutMs?: number;
}

/** Runs a program on pipes until it ends. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<ScriptResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs a script with this Node. */
export function runScript(script: string, args: readonly string[], options?: RunOptions): Promise<ScriptResult> {
  return runProgram(process.execPath, [script, ...args], options);
}

/** Runs `lb-cli` against a balancer. */
export function runLbCli(
  balancer: { readonly address: string; readonly adminAddress: string },
  args: readonly string[],
  options: Omit<RunOptions, "env"> = {},
): Promise<ScriptResult> {
  return runScript(lbCliScript, args, { ...options, env: lbCliEnvironment(balancer) });
}

/** What `lb-cli` prints, where it ends well. @throws Error with what it says where it does not */
export async function lbCliOutput(...[balancer, args]: Parameters<typeof runLbCli>): Promise<string> {
  const { code, stdout, stderr } = await runLbCli(balancer, args);
  if (code !== 0) throw new Error(`lb-cli ${args.join(" ")} ended with code ${code}: ${stderr}`);
  return stdout;
}

/** One line of `lb-cli --json`, as far as the tests look at it. */
export interface UploadLine {
  readonly requestNumber: number;
  readonly uploadId: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly server: string;
  readonly storedName: string;
  readonly sha256: string;
  readonly attempts: number;
  readonly state: string;
}

/** Reads what `lb-cli --json` printed: one object on each line. */
export function jsonLines(stdout: string): UploadLine[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as UploadLine);
}
