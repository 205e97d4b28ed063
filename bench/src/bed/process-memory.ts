import { readFileSync } from "node:fs";

/** The most that a process ever had resident, in MiB. @throws Error when the kernel does not tell */
export function residentPeakMiB(pid: number): number {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  if (kibibytes === undefined) throw new Error(`the kernel does not tell the memory of process ${pid}`);
  return Number(kibibytes) / 1024;
}
