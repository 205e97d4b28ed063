import { type AuditEntry, parseEntry } from "@bilancia/proto/audit-chain";
import { auditFiles } from "../audit/audit-files.js";
import { auditLines } from "../audit/audit-lines.js";
import type { UploadKey } from "../client/bilancia-client.js";
import { humanBytes, printable } from "../output/human.js";
import { type Column, renderTable } from "../output/table.js";
import { type CommandContext, exitCode } from "./command-context.js";

/** An entry, and whether it still is what was written. */
interface Step {
  readonly file: string;
  readonly line: number;
  readonly entry: AuditEntry;
  readonly intact: boolean;
}

/** Tells what the audit knows of one file. Returns the exit code: 1 when that is nothing. @throws UsageError */
export async function trace(key: UploadKey, file: string, { screen, json }: CommandContext): Promise<number> {
  const [field, value] =
    "uploadId" in key
      ? (["uploadId", key.uploadId.toLowerCase()] as const)
      : (["requestNumber", String(key.requestNumber)] as const);
  // Most lines are about other files: they need not be understood.
  const mark = `"${field}":"${value}"`;
  const steps: Step[] = [];
  for (const part of await auditFiles(file)) {
    let line = 0;
    for await (const { bytes } of auditLines(part)) {
      line += 1;
      if (!bytes.includes(mark)) continue;
      const parsed = parseEntry(bytes);
      if (parsed.kind === "unreadable" || parsed.entry[field] !== value) continue;
      steps.push({ file: part, line, entry: parsed.entry, intact: parsed.kind === "entry" });
    }
  }
  if (steps.length === 0) {
    const named = `${field === "uploadId" ? "the id" : "the request number"} ${value}`;
    screen.remark(`${screen.paintSide("red", "error:")} ${file} has no entry with ${named}`);
    return exitCode.failed;
  }
  if (json) {
    for (const { file: part, line, entry, intact } of steps) {
      await screen.print(JSON.stringify({ file: part, line, intact, time: time(entry), ...entry }));
    }
    return exitCode.ok;
  }
  const { requestNumber, uploadId, name } = steps.find(({ entry }) => entry.name !== undefined)?.entry ?? {};
  const title = `request ${requestNumber ?? value}  ${name ?? "-"}  ${uploadId ?? "-"}`;
  await screen.print(`${screen.paint("bold", printable(title))}\n${renderTable(columns, steps, screen)}`);
  const altered = steps.filter(({ intact }) => !intact).map((step) => `line ${step.line} of ${step.file}`);
  if (altered.length > 0) {
    screen.remark(`${screen.paintSide("yellow", "warning:")} altered after it was written: ${altered.join(", ")}`);
  }
  return exitCode.ok;
}

const columns: readonly Column<Step>[] = [
  { title: "time", text: ({ entry }) => time(entry), dropOrder: 2 },
  {
    title: "what",
    text: ({ entry, intact }) => (intact ? entry.kind : `${entry.kind} (altered)`),
    style: ({ entry, intact }) => {
      if (!intact || entry.kind === "dead" || entry.kind === "quarantined") return "red";
      return entry.kind === "stored" ? "green" : undefined;
    },
  },
  { title: "server", text: ({ entry }) => String(entry.server ?? "-"), dropOrder: 1 },
  { title: "attempt", align: "right", text: ({ entry }) => String(entry.attempt ?? "-"), dropOrder: 3 },
  { title: "message", text: ({ entry }) => details(entry), minWidth: 16 },
];

function details({ kind, client, sizeBytes, message, sha256 }: AuditEntry): string {
  const parts = [
    kind === "received" && client !== undefined ? `from ${client}` : undefined,
    sizeBytes === undefined ? undefined : humanBytes(Number(sizeBytes)),
    message,
    sha256 === undefined ? undefined : `sha256 ${sha256}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

function time({ timeMs }: AuditEntry): string {
  return new Date(timeMs).toISOString();
}
