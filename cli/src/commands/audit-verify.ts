import { AuditVerifier } from "@bilancia/proto/audit-verifier";
import { auditFiles } from "../audit/audit-files.js";
import { auditLines } from "../audit/audit-lines.js";
import { counted } from "../output/human.js";
import { type CommandContext, exitCode } from "./command-context.js";

/**
 * Follows the audit's chain from the first entry to the last, through all its files. `partial`: the oldest files are elsewhere, and the chain begins with the first entry that
 * is there. Returns the exit code: 1 where it does not hold.
 *
 * @throws UsageError
 */
export async function auditVerify(file: string, partial: boolean, { screen, json }: CommandContext): Promise<number> {
  const verifier = new AuditVerifier(partial);
  const files = await auditFiles(file);
  let findings = 0;
  for (const part of files) {
    verifier.nextFile();
    // Where there is one file only, it need not be named with each line.
    const where = files.length > 1 ? `${part}, ` : "";
    for await (const { bytes, torn } of auditLines(part)) {
      const finding = verifier.check(bytes, torn);
      if (!finding) continue;
      findings += 1;
      const { line, kind, message } = finding;
      await screen.print(
        json
          ? JSON.stringify({ file: part, ...finding })
          : `${where}line ${line}: ${screen.paint("red", kind)}: ${message}`,
      );
    }
  }
  const { entries, head } = verifier;
  const ok = findings === 0;
  if (json) {
    await screen.print(
      JSON.stringify({ ok, files: files.length, entries, findings, lastSeq: head.seq, lastHash: head.hash }),
    );
  } else {
    const verdict = ok
      ? screen.paint("green", "the chain holds")
      : screen.paint("red", `${counted(findings, "fault")} found`);
    const more = files.length > 1 ? ` and ${counted(files.length - 1, "full file")}` : "";
    await screen.print(
      `${file}${more}: ${verdict}; ${counted(entries, "line")} read, last entry ${head.seq} ${head.hash}`,
    );
  }
  return ok ? exitCode.ok : exitCode.failed;
}
