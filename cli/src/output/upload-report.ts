import type { UploadResult } from "../client/upload-types.js";
import { counted, humanBytes, humanCount, humanDuration, humanRate, printable } from "./human.js";
import { reasonName } from "./json.js";
import type { Screen } from "./screen.js";
import { type Column, renderTable } from "./table.js";

/** Most rows of the table, and most files whose failure is explained: nobody reads a million lines, and they would take memory. */
const shownLimit = 1_000;

/** What became of the files of one command: counts over all of them, details of the first ones. */
export class UploadReport {
  readonly counts = { stored: 0, queued: 0, rejected: 0, failed: 0 };
  #totalBytes = 0;
  readonly #shown: UploadResult[] = [];
  readonly #unhappy: UploadResult[] = [];
  readonly #byServer = new Map<string, number>();

  add(result: UploadResult): void {
    this.counts[result.state]++;
    if (this.#shown.length < shownLimit) this.#shown.push(result);
    if (result.state === "stored") {
      const { server } = result.receipt;
      this.#byServer.set(server, (this.#byServer.get(server) ?? 0) + 1);
    }
    if (result.state === "stored" || result.state === "queued") this.#totalBytes += result.sizeBytes;
    else if (this.#unhappy.length < shownLimit) this.#unhappy.push(result);
  }

  get endedCount(): number {
    const { stored, queued, rejected, failed } = this.counts;
    return stored + queued + rejected + failed;
  }

  /** Whether every file ended as it was meant to. */
  get happy(): boolean {
    return this.counts.rejected + this.counts.failed === 0;
  }

  /** The table of the files, and a line over all of them. */
  render(elapsedMs: number, screen: Screen): string {
    const more = this.endedCount - this.#shown.length;
    const lines = [renderTable(uploadColumns, this.#shown, screen)];
    if (more > 0) lines.push(screen.paint("dim", `… and ${humanCount(more)} more; --json lists them all`));
    lines.push("", this.#summary(elapsedMs));
    return lines.join("\n");
  }

  /** Why files were not taken, a line each. */
  complaints(): string[] {
    const lines = this.#unhappy.map((result) => `${printable(result.name)}: ${complaint(result)}`);
    const more = this.counts.rejected + this.counts.failed - lines.length;
    return more > 0 ? [...lines, `… and ${counted(more, "file")} more that did not get through`] : lines;
  }

  #summary(elapsedMs: number): string {
    const { stored, queued, rejected, failed } = this.counts;
    const parts = [`${humanCount(stored)} stored`];
    if (queued > 0) parts.push(`${humanCount(queued)} queued`);
    if (rejected > 0) parts.push(`${humanCount(rejected)} rejected`);
    if (failed > 0) parts.push(`${humanCount(failed)} failed`);
    const rate = this.#totalBytes > 0 ? ` (${humanRate(this.#totalBytes, elapsedMs)})` : "";
    const total = `${humanBytes(this.#totalBytes)} in ${humanDuration(elapsedMs)}${rate}`;
    const servers = [...this.#byServer]
      .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
      .map(([server, count]) => `${printable(server)} ${humanCount(count)}`);
    const line = `${parts.join(", ")}; ${total}`;
    return servers.length > 0 ? `${line}; ${servers.join(", ")}` : line;
  }
}

function complaint(result: UploadResult): string {
  if (result.state === "rejected")
    return `rejected (${reasonName(result.rejection)}): ${printable(result.rejection.message)}`;
  return result.state === "failed" ? `failed: ${printable(result.message)}` : result.state;
}

const receiptOf = (result: UploadResult) => (result.state === "stored" ? result.receipt : undefined);

const uploadColumns: readonly Column<UploadResult>[] = [
  {
    title: "request",
    align: "right",
    text: ({ requestNumber }) => (requestNumber === 0n ? "-" : String(requestNumber)),
  },
  { title: "name", text: ({ name }) => name, minWidth: 12 },
  { title: "size", align: "right", text: ({ sizeBytes }) => humanBytes(sizeBytes), dropOrder: 1 },
  {
    title: "server",
    text: (result) => receiptOf(result)?.server ?? result.state,
    style: ({ state }) => (state === "stored" ? undefined : state === "queued" ? "yellow" : "red"),
    minWidth: 14,
  },
  { title: "stored name", text: (result) => receiptOf(result)?.storedName ?? "-", minWidth: 16, dropOrder: 5 },
  { title: "attempts", align: "right", text: (result) => String(receiptOf(result)?.attempts ?? "-"), dropOrder: 4 },
  {
    title: "letters a",
    align: "right",
    text: (result) => String(receiptOf(result)?.textStats?.lettersA ?? "-"),
    dropOrder: 3,
  },
  { title: "time", align: "right", text: ({ elapsedMs }) => humanDuration(elapsedMs), dropOrder: 2 },
];
