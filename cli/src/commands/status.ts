import type { ConfigStatus, GetStatusResponse } from "@bilancia/proto/gen/admin";
import { Priority, priorityToJSON, type QueryUploadResponse, uploadStateToJSON } from "@bilancia/proto/gen/balancer";
import { fromDuration, fromTimestamp } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { BilanciaClient, type UploadKey } from "../client/bilancia-client.js";
import { attemptFact, attemptJson } from "../output/attempts.js";
import { type Fact, renderFacts } from "../output/facts.js";
import { counted, humanBytes, humanCount, humanDuration } from "../output/human.js";
import { hex, type Json, jsonNumber, jsonTime, reasonName } from "../output/json.js";
import { placeWords } from "../output/progress.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode } from "./command-context.js";
import { credentialsOf } from "./credentials.js";

/** Shows the balancer's own state. Returns the exit code. @throws UnreachableError, BalancerError */
export async function balancerStatus(context: CommandContext): Promise<number> {
  const status = await askAdmin(context, (client, timeoutMs) =>
    callUnary(client.getStatus.bind(client), {}, timeoutMs),
  );
  if (context.json) await context.screen.print(JSON.stringify(statusJson(status)));
  else await context.screen.print(renderFacts(statusFacts(status, Date.now()), context.screen));
  return exitCode.ok;
}

/** Shows one upload. Returns the exit code: 1 for an unknown one. @throws UnreachableError, BalancerError */
export async function uploadStatus(key: UploadKey, context: CommandContext): Promise<number> {
  const { screen, balancer, connectTimeoutMs } = context;
  const client = new BilanciaClient({ address: balancer, credentials: credentialsOf(context), connectTimeoutMs });
  try {
    const upload = await client.query(key);
    if (!upload) {
      const name = "uploadId" in key ? `the id ${key.uploadId}` : `the request number ${key.requestNumber}`;
      screen.remark(`${screen.paintSide("red", "error:")} the balancer knows no upload with ${name}`);
      return exitCode.failed;
    }
    if (context.json) await screen.print(JSON.stringify(queryJson(upload)));
    else await screen.print(renderFacts(uploadFacts(upload), screen));
    return exitCode.ok;
  } finally {
    client.close();
  }
}

function statusFacts(status: GetStatusResponse, nowMs: number): Fact[] {
  const started = status.startedAt ? fromTimestamp(status.startedAt) : undefined;
  return [
    ["version", status.version],
    [
      "started",
      started === undefined ? "-" : `${new Date(started).toISOString()} (${humanDuration(nowMs - started)} ago)`,
    ],
    ["servers", `${status.availableServers} of ${status.servers} available`],
    ["queue", `${status.queue}; ${humanBytes(status.queuedBytes)}`],
    ["receiving", counted(status.receivingFiles, "file")],
    ["queued", counted(status.queuedFiles, "file")],
    ["dispatching", counted(status.dispatchingFiles, "file")],
    ["stored", `${counted(status.storedFiles, "file")}, ${humanBytes(status.storedBytes)}`],
    ["rejected", counted(status.rejectedFiles, "file")],
    ["streams", humanCount(status.uploadStreams)],
    ["last request", String(status.lastRequestNumber)],
    ["memory", humanBytes(status.memoryBytes)],
    ["origin", `${status.origin}, term ${status.term}`],
    ...configFacts(status.config, nowMs),
  ];
}

function configFacts(config: ConfigStatus | undefined, nowMs: number): Fact[] {
  if (!config?.file) return [];
  const { file, loadedAt, needRestart, refusedAt, problems } = config;
  const ago = (time: ConfigStatus["loadedAt"]) => (time ? `${humanDuration(nowMs - fromTimestamp(time))} ago` : "-");
  return [
    ["configuration", `${file}, read ${ago(loadedAt)}`],
    ...needRestart.map((setting): Fact => ["needs restart", setting]),
    ...(refusedAt ? problems.map((problem): Fact => ["not usable", `${problem} (${ago(refusedAt)})`]) : []),
  ];
}

function statusJson(status: GetStatusResponse): Json {
  return {
    version: status.version,
    startedAt: jsonTime(status.startedAt),
    origin: status.origin,
    term: jsonNumber(status.term),
    queue: status.queue,
    receivingFiles: jsonNumber(status.receivingFiles),
    queuedFiles: jsonNumber(status.queuedFiles),
    dispatchingFiles: jsonNumber(status.dispatchingFiles),
    queuedBytes: jsonNumber(status.queuedBytes),
    storedFiles: jsonNumber(status.storedFiles),
    storedBytes: jsonNumber(status.storedBytes),
    rejectedFiles: jsonNumber(status.rejectedFiles),
    uploadStreams: status.uploadStreams,
    lastRequestNumber: jsonNumber(status.lastRequestNumber),
    availableServers: status.availableServers,
    servers: status.servers,
    memoryBytes: jsonNumber(status.memoryBytes),
    config: status.config
      ? {
          file: status.config.file,
          loadedAt: jsonTime(status.config.loadedAt),
          needRestart: status.config.needRestart,
          refusedAt: jsonTime(status.config.refusedAt),
          problems: status.config.problems,
        }
      : null,
  };
}

const stateName = (upload: QueryUploadResponse) =>
  uploadStateToJSON(upload.state).replace("UPLOAD_STATE_", "").toLowerCase();

/** `undefined` where the balancer knows no priorities. */
const priorityName = ({ priority }: QueryUploadResponse) =>
  priority === Priority.PRIORITY_UNSPECIFIED
    ? undefined
    : priorityToJSON(priority).replace("PRIORITY_", "").toLowerCase();

function uploadFacts(upload: QueryUploadResponse): Fact[] {
  const { receipt, rejection, sizeBytes } = upload;
  const lines: Fact[] = [
    ["request", String(upload.requestNumber)],
    ["upload id", upload.uploadId],
    ["name", upload.name],
    ["state", stateName(upload)],
    ["size", sizeBytes === undefined ? "not known yet" : humanBytes(sizeBytes)],
    ["arrived", humanBytes(upload.persistedBytes)],
    ["priority", priorityName(upload) ?? "-"],
    ["received", jsonTime(upload.receivedAt) ?? "-"],
  ];
  const place = placeOf(upload);
  if (place) lines.push(["place", placeWords(place)]);
  lines.push(...upload.attempts.map(attemptFact));
  if (receipt) {
    lines.push(
      ["server", receipt.server],
      ["stored name", receipt.storedName],
      ["stored", jsonTime(receipt.storedAt) ?? "-"],
      ["sha256", hex(receipt.sha256)],
    );
    if (receipt.textStats) lines.push(["letters a", humanCount(receipt.textStats.lettersA)]);
  }
  if (rejection) lines.push(["why", `${reasonName(rejection)}: ${rejection.message}`]);
  return lines;
}

function placeOf({ place }: QueryUploadResponse) {
  if (!place) return undefined;
  const { position, bytesAhead, startsIn } = place;
  const startsInMs = startsIn && Math.round(fromDuration(startsIn));
  return { position: Number(position), bytesAhead: Number(bytesAhead), startsInMs };
}

function queryJson(upload: QueryUploadResponse): Json {
  const { receipt, rejection } = upload;
  const place = placeOf(upload);
  return {
    requestNumber: jsonNumber(upload.requestNumber),
    uploadId: upload.uploadId,
    name: upload.name,
    sizeBytes: upload.sizeBytes === undefined ? null : jsonNumber(upload.sizeBytes),
    server: receipt?.server ?? null,
    storedName: receipt?.storedName ?? null,
    sha256: receipt ? hex(receipt.sha256) : null,
    attempts: upload.attempts.map(attemptJson),
    state: stateName(upload),
    persistedBytes: jsonNumber(upload.persistedBytes),
    priority: priorityName(upload) ?? null,
    receivedAt: jsonTime(upload.receivedAt),
    ...(place ? { place: { ...place, startsInMs: place.startsInMs ?? null } } : {}),
    storedAt: jsonTime(receipt?.storedAt),
    ...(receipt?.textStats ? { lettersA: jsonNumber(receipt.textStats.lettersA) } : {}),
    ...(rejection ? { reason: reasonName(rejection), message: rejection.message } : {}),
  };
}
