import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const programs = {
  storage: "../../services/storage-server/bin/bilancia-storage.js",
  balancer: "../../services/balancer/bin/bilancia-balancer.js",
} as const;

/** A program of the project in a process of its own. */
export interface ProgramProcess {
  readonly address: string;
  readonly pid: number;
  /** Stops it. @throws when it did not end well */
  stop(): Promise<void>;
}

/** Starts a program, and waits until it serves. */
export async function startProgram(name: keyof typeof programs, args: readonly string[]): Promise<ProgramProcess> {
  const script = fileURLToPath(new URL(programs[name], import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<number | string>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "")),
  );
  const address = await new Promise<string>((resolve, reject) => {
    void exited.then((code) => reject(new Error(`the ${name} process ended with ${code} before it served`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const entry: { msg?: string; address?: string } = JSON.parse(line);
      if (entry.msg === "listening" && entry.address) resolve(entry.address);
    });
  });
  return {
    address,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      const code = await exited;
      if (code !== 0) throw new Error(`the ${name} process ended with ${code}`);
    },
  };
}
