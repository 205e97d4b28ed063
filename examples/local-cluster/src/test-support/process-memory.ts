import { readFile } from "node:fs/promises";

/** The most memory a running process has had resident so far, in bytes (Linux: `VmHWM` of `/proc/PID/status`, see proc(5)). */
export async function peakMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no VmHWM line`);
  return Number(kib) * 1024;
}
