import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../services/storage-server/bin/bilancia-storage.js", import.meta.url));

/** A storage server in a process of its own. */
export interface StorageProcess {
  readonly address: string;
  /** Stops it. @throws when it did not end well */
  stop(): Promise<void>;
}

/** Starts a storage server on a free port, and waits until it serves. */
export async function startStorage(dir: string): Promise<StorageProcess> {
  const options = ["--listen", "127.0.0.1:0", "--dir", dir, "--overload-memory-percent", "off"];
  const child = spawn(process.execPath, [program, ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<number | string>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "")),
  );
  const address = await new Promise<string>((resolve, reject) => {
    void exited.then((code) => reject(new Error(`the storage server ended with ${code} before it served`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const entry: { msg?: string; address?: string } = JSON.parse(line);
      if (entry.msg === "listening" && entry.address) resolve(entry.address);
    });
  });
  return {
    address,
    async stop() {
      child.kill("SIGTERM");
      const code = await exited;
      if (code !== 0) throw new Error(`the storage server ended with ${code}`);
    },
  };
}
