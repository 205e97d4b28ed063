import { existsSync } from "node:fs";
import { fullAuditFiles } from "@bilancia/proto/audit-files";
import { describeError } from "@bilancia/proto/system-error";
import { UsageError } from "../commands/command-context.js";

/**
 * The files of an audit, oldest first, the one that is written last. A crash may have come before that one was begun.
 *
 * @throws UsageError when the folder cannot be read
 */
export async function auditFiles(file: string): Promise<string[]> {
  try {
    const full = await fullAuditFiles(file);
    return full.length > 0 && !existsSync(file) ? full : [...full, file];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UsageError(
      `the folder of ${file} cannot be read: ${describeError(error)}; expected the balancer's audit file (--audit FILE)`,
    );
  }
}
