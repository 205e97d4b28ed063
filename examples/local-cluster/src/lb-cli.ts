import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunningBalancer } from "./cluster.js";

/** The command line client, as a script for Node. */
export const lbCliScript = fileURLToPath(import.meta.resolve("@bilancia/cli/bin/lb-cli.js"));

/** The environment in which `lb-cli` finds a balancer without flags. */
export function lbCliEnvironment(balancer: Pick<RunningBalancer, "address" | "adminAddress">): NodeJS.ProcessEnv {
  return { ...process.env, BILANCIA_BALANCER: balancer.address, BILANCIA_ADMIN: balancer.adminAddress };
}

/** Runs `lb-cli` on this process's own terminal or pipes, so that its progress is seen live, until it ends or `signal` aborts. */
export function runLbCliHere(
  balancer: RunningBalancer,
  args: readonly string[],
  options: { cwd: string; signal: AbortSignal },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [lbCliScript, ...args], {
      ...options,
      stdio: "inherit",
      env: lbCliEnvironment(balancer),
    });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
