import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Disk, nodeDisk } from "@bilancia/storage-server/dist/disk.js";
import { createLog } from "@bilancia/storage-server/dist/log.js";
import { openStorageDirectory } from "@bilancia/storage-server/dist/storage-directory.js";
import type { WrittenAt } from "./crash-state.js";
import type { Mark } from "./marks.js";

/** The origin under which the flows of the storage server save. */
export const flowOrigin = "0123456789abcdef0123456789abcdef";

/** The upload id of a file of these flows. */
export function uploadIdOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** Files in the folder that are not the server's, by name. It must leave them alone, although it would like their names. */
export const foreignFiles: ReadonlyMap<string, string> = new Map([
  ["notes.txt", "somebody's notes"],
  ["3_3.bin", "somebody's file under a name that the server wants"],
  ["9_9.bin", "another one"],
]);

/**
 * Opens a storage server's folder as a crash has left it, and says what is wrong with it then.
 *
 * @param times see `CrashStates.build`
 */
export async function judgeStorage(
  root: string,
  marks: readonly Mark[],
  times: ReadonlyMap<bigint, WrittenAt>,
): Promise<string[]> {
  const violations: string[] = [];
  const directory = await openStorageDirectory({
    dir: root,
    wipe: false,
    disk: diskWithTimes(times),
    log: createLog("silent"),
    onBroken: (error) => violations.push(`a flush failed: ${error.message}`),
  });
  try {
    for (const [number, { sha256, fate }] of outcomes(marks)) {
      const id = { origin: flowOrigin, requestNumber: BigInt(number) };
      const known = await directory.store.find(id);
      const copies = storedCopies(root, number).filter(([name]) => !foreignFiles.has(name));
      if (fate === "acknowledged") {
        if (known.state !== "stored") violations.push(`${number}: acknowledged, and is ${known.state}`);
        else if (known.record.sha256 !== sha256) violations.push(`${number}: its record has another digest`);
        if (copies.length !== 1) violations.push(`${number}: acknowledged, and is there ${copies.length} times`);
      }
      if (fate === "discarded" && (known.state === "stored" || copies.length > 0))
        violations.push(`${number}: discarded, and is back`);
      if (copies.length > 1) violations.push(`${number}: is there ${copies.length} times`);
      for (const [name, digest] of copies)
        if (digest !== sha256) violations.push(`${name}: has other bytes than were sent`);
    }
    for (const [name, text] of foreignFiles) {
      if (readFileSync(path.join(root, name), "utf8") !== text)
        violations.push(`${name}: somebody else's file was changed`);
    }
  } finally {
    await directory.close();
  }
  return violations;
}

/** What had become of each file when the process died: a fate that was still under way allows either. */
function outcomes(
  marks: readonly Mark[],
): Map<number, { sha256: string; fate: "unknown" | "acknowledged" | "discarded" }> {
  const files = new Map<number, { sha256: string; fate: "unknown" | "acknowledged" | "discarded" }>();
  for (const mark of marks) {
    if (mark.kind === "sending") files.set(mark.number, { sha256: mark.sha256, fate: "unknown" });
    const file = files.get(mark.number);
    if (!file) continue;
    if (mark.kind === "acknowledged" || mark.kind === "discarded") file.fate = mark.kind;
    if (mark.kind === "discarding") file.fate = "unknown";
  }
  return files;
}

function storedCopies(root: string, number: number): [name: string, sha256: string][] {
  const names = readdirSync(root).filter((name) => name.startsWith(`${number}_`));
  return names.map((name) => [
    name,
    createHash("sha256")
      .update(readFileSync(path.join(root, name)))
      .digest("hex"),
  ]);
}

/** The real disk, where files that were not written since have the times that they had before the crash; it need not flush, for no crash follows. */
function diskWithTimes(times: ReadonlyMap<bigint, WrittenAt>): Disk {
  return {
    ...nodeDisk,
    hold: () => {},
    syncFiles: async () => {},
    async mark(file) {
      const mark = await nodeDisk.mark(file);
      const time = mark && times.get(lstatSync(file, { bigint: true }).ino);
      return time && time.builtNs === mark.modifiedNs ? { ...mark, modifiedNs: time.beforeNs } : mark;
    },
  };
}
