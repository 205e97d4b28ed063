import { BilanciaClient } from "../client/bilancia-client.js";
import { UploadAbortedError } from "../client/errors.js";
import type { UploadSource } from "../client/upload-source.js";
import type { AckStage, UploadNotice, UploadProgress, UploadResult } from "../client/upload-types.js";
import { type HeldFile, heldJson, heldWords } from "../output/held-report.js";
import { counted, humanCount, humanDuration, printable } from "../output/human.js";
import { uploadJson } from "../output/json.js";
import { type ExpectedWork, progressView, silentView } from "../output/progress.js";
import type { Screen } from "../output/screen.js";
import { UploadReport } from "../output/upload-report.js";
import { type CommandContext, exitCode } from "./command-context.js";
import { credentialsOf } from "./credentials.js";
import { heldFiles } from "./held-files.js";

/** Files to send, and what is known of them before. */
export interface Shipment {
  readonly sources: AsyncIterable<UploadSource> | Iterable<UploadSource>;
  readonly expected: ExpectedWork;
  readonly ack: AckStage;
  /** Told of each file as it ends. */
  readonly onResult?: (result: UploadResult) => void;
}

/**
 * Sends files and shows what becomes of them: progress on the side, then a table; or, with `--json`, a line per file as it ends, and one for each that the
 * balancer has when the signal fires.
 *
 * @returns the exit code
 * @throws UnreachableError, BalancerError, and what the sources throw; what was stored until then has been shown
 */
export async function sendFiles(shipment: Shipment, context: CommandContext, signal: AbortSignal): Promise<number> {
  const { screen, json, balancer } = context;
  const client = new BilanciaClient({
    address: balancer,
    credentials: credentialsOf(context),
    connectTimeoutMs: context.connectTimeoutMs,
    retryForMs: context.retryForMs,
  });
  const silent = json && !screen.side.isTTY;
  const view = silent ? silentView(screen) : progressView(screen, shipment.expected, () => performance.now());
  const report = new UploadReport();
  let progress: UploadProgress | undefined;
  let failure: { readonly error: unknown } | undefined;
  let held: readonly HeldFile[] = [];
  const startedAtMs = performance.now();
  try {
    const results = client.upload(shipment.sources, {
      ack: shipment.ack,
      signal,
      onProgress: (now) => {
        progress = now;
        view.update(now);
      },
      onPlace: silent ? undefined : (place) => view.place(place),
      onNotice: (notice) => {
        const line = noticeLine(notice);
        if (line) view.note(screen.paintSide("yellow", line));
      },
    });
    for await (const result of results) {
      report.add(result);
      shipment.onResult?.(result);
      if (json) await screen.print(JSON.stringify(uploadJson(result)));
    }
  } catch (error) {
    failure = { error };
    if (error instanceof UploadAbortedError)
      held = await heldFiles(error.unanswered, (uploadId) => client.query({ uploadId }));
  } finally {
    view.stop();
    client.close();
  }
  if (!json) await show(report, performance.now() - startedAtMs, screen);
  if (failure?.error instanceof UploadAbortedError) {
    const done = report.counts.stored + report.counts.queued;
    const all = shipment.expected.files ?? progress?.foundFiles ?? 0;
    if (json) for (const file of held) await screen.print(JSON.stringify(heldJson(file)));
    screen.remark(
      `stopped: ${humanCount(done)} of ${counted(all, "file")} ${shipment.ack}, ${humanCount(all - done)} not${heldWords(held)}`,
    );
    return exitCode.interrupted;
  }
  if (failure) throw failure.error;
  return report.happy ? exitCode.ok : exitCode.failed;
}

async function show(report: UploadReport, elapsedMs: number, screen: Screen): Promise<void> {
  if (report.endedCount > 0) await screen.print(report.render(elapsedMs, screen));
  for (const line of report.complaints()) screen.remark(`${screen.paintSide("red", "error:")} ${line}`);
}

function noticeLine(notice: UploadNotice): string | undefined {
  switch (notice.type) {
    case "connected":
      return undefined;
    case "connection-lost":
      return `connection to ${notice.address} lost (${printable(notice.why)}); trying again`;
    case "rejected-for-now":
      return `${printable(notice.name)}: ${printable(notice.message)}; trying again in ${humanDuration(notice.retryInMs)}`;
  }
}
