import { AuditVerifier } from "@bilancia/proto/audit-verifier";
import { auditLines } from "../audit/audit-lines.js";
import { counted } from "../output/human.js";
import { type CommandContext, exitCode } from "./command-context.js";

/** Follows the audit's chain from the first entry to the last. Returns the exit code: 1 where it does not hold. @throws UsageError */
export async function auditVerify(file: string, { screen, json }: CommandContext): Promise<number> {
  const verifier = new AuditVerifier();
  let findings = 0;
  for await (const { bytes, torn } of auditLines(file)) {
    const finding = verifier.check(bytes, torn);
    if (!finding) continue;
    findings += 1;
    const { line, kind, message } = finding;
    await screen.print(json ? JSON.stringify(finding) : `line ${line}: ${screen.paint("red", kind)}: ${message}`);
  }
  const { entries, head } = verifier;
  const ok = findings === 0;
  if (json) {
    await screen.print(JSON.stringify({ ok, entries, findings, lastSeq: head.seq, lastHash: head.hash }));
  } else {
    const verdict = ok
      ? screen.paint("green", "the chain holds")
      : screen.paint("red", `${counted(findings, "fault")} found`);
    await screen.print(`${file}: ${verdict}; ${counted(entries, "line")} read, last entry ${head.seq} ${head.hash}`);
  }
  return ok ? exitCode.ok : exitCode.notAllStored;
}
