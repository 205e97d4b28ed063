import { createHash } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import type { AdminClient, DeadLetter, ExportChunk, ExportUploadResponse } from "@bilancia/proto/gen/admin";
import { status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import { BalancerError } from "../client/errors.js";
import { deadLetterJson } from "../output/dead-letter-report.js";
import { humanBytes } from "../output/human.js";
import { hex } from "../output/json.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode } from "./command-context.js";
import { checkTarget, ExportTarget, type Sink } from "./export-target.js";

/** What is written where. */
export interface ExportOptions {
  readonly requestNumber: bigint;
  /** A file, `-` for standard output; the file's own name in the working folder where it is not given. */
  readonly output?: string;
  /** Whether a file that exists may be replaced, and a pipe or a device written to. */
  readonly force: boolean;
}

/**
 * Writes the bytes of a dead letter to a file or to standard output. A file appears under its name only when all bytes are there and checked;
 * a pipe or a device, as standard output, gets them as they come.
 *
 * @returns the exit code
 * @throws UsageError when the file exists or is a folder, UnreachableError, BalancerError
 */
export async function exportDeadLetter(
  { requestNumber, output, force }: ExportOptions,
  stdout: NodeJS.WritableStream,
  context: CommandContext,
): Promise<number> {
  if (output === "-") {
    const sink: Sink = {
      async write(data) {
        if (!stdout.write(data)) await once(stdout, "drain");
      },
    };
    await askAdmin(context, (client) => receive(client, requestNumber, async () => sink));
    return exitCode.ok;
  }
  if (output !== undefined) await checkTarget(output, force);
  const file = new ExportTarget(force);
  try {
    let target = "";
    const letter = await askAdmin(context, (client) =>
      receive(client, requestNumber, async (described) => {
        // Only the last part: a name from elsewhere must not lead out of the folder.
        target = output ?? path.basename(described.name);
        await file.open(target);
        return file;
      }),
    );
    await file.finish(target);
    const { screen, json } = context;
    if (json) await screen.print(JSON.stringify({ ...Object(deadLetterJson(letter)), output: target }));
    else await screen.print(`exported ${requestNumber} to ${target}, ${humanBytes(letter.sizeBytes)}`);
    return exitCode.ok;
  } finally {
    await file.close();
  }
}

/** Receives an export and checks every part of it: order, CRC-32C, length, and SHA-256 where it is known. */
async function receive(
  client: AdminClient,
  requestNumber: bigint,
  makeSink: (letter: DeadLetter) => Promise<Sink>,
): Promise<DeadLetter> {
  const call = client.exportUpload({ requestNumber });
  const sha256 = createHash("sha256");
  let letter: DeadLetter | undefined;
  let sink: Sink | undefined;
  let receivedBytes = 0n;
  try {
    for await (const message of call) {
      const { part } = message as ExportUploadResponse;
      if (part?.$case === "deadLetter") {
        letter = part.value;
        sink = await makeSink(letter);
      } else if (part?.$case === "chunk") {
        checkChunk(part.value, receivedBytes);
        receivedBytes += BigInt(part.value.data.length);
        sha256.update(part.value.data);
        await sink?.write(part.value.data);
      }
    }
  } catch (error) {
    call.cancel();
    const { code, details } = error as Partial<ServiceError>;
    // These are no failures of the balancer, and need no more words than its own.
    if (code === grpcStatus.NOT_FOUND || code === grpcStatus.FAILED_PRECONDITION)
      throw new BalancerError(grpcStatus[code], details ?? "");
    throw error;
  }
  if (!letter) throw damaged("the description did not come");
  if (receivedBytes !== letter.sizeBytes) throw damaged(`${receivedBytes} bytes came; expected ${letter.sizeBytes}`);
  const digest = sha256.digest();
  if (letter.sha256 && !digest.equals(letter.sha256))
    throw damaged(`their SHA-256 is ${hex(digest)}; expected ${hex(letter.sha256)}`);
  return letter;
}

function checkChunk({ offset, data, crc32c: expected }: ExportChunk, at: bigint): void {
  if (offset !== at) throw damaged(`a chunk begins at ${offset}; expected ${at}`);
  if (crc32c(data) !== expected) throw damaged(`the CRC-32C of the chunk at ${offset} does not match`);
}

function damaged(what: string): BalancerError {
  return new BalancerError("DATA_LOSS", `the exported bytes are not what was uploaded: ${what}`);
}
