import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** The machine in words: what the figures depend on. @param dirs folders whose file systems matter, by what they are for */
export function describeMachine(dirs: Readonly<Record<string, string>>): Record<string, string> {
  const [cpu] = cpus();
  return {
    cores: `${cpus().length} (${cpu?.model.trim() ?? "unknown"})`,
    memory: `${(totalmem() / 1024 ** 3).toFixed(1)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
    ...Object.fromEntries(Object.entries(dirs).map(([use, dir]) => [use, fileSystem(dir)])),
    commit: commit(),
    // What else ran: without other work this is about 0.
    "load before": loadavg()[0]?.toFixed(1) ?? "unknown",
    time: new Date().toISOString(),
  };
}

function fileSystem(dir: string): string {
  const [, line = ""] = execFileSync("df", ["--output=fstype,source,avail", "-h", dir], { encoding: "utf8" }).split(
    "\n",
  );
  const [kind, source, free] = line.trim().split(/\s+/);
  return `${kind} on ${source}, ${free} free`;
}

function commit(): string {
  try {
    const options = { encoding: "utf8", cwd: import.meta.dirname, stdio: "pipe" } as const;
    return execFileSync("git", ["describe", "--always", "--dirty"], options).trim();
  } catch {
    // Not a checkout, or no git: the figures are still worth having.
    return "unknown";
  }
}
