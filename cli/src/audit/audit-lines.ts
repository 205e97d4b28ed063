import { createReadStream } from "node:fs";
import { maxAuditLineBytes } from "@bilancia/proto/audit-chain";
import { describeError } from "@bilancia/proto/system-error";
import { UsageError } from "../commands/command-context.js";

/** A line of an audit file, without its end. */
export interface AuditLine {
  readonly bytes: Buffer;
  /** It has no end: the file stops in it. */
  readonly torn: boolean;
}

const lineEnd = 10;

/**
 * Reads an audit file line by line, in constant memory however large it is: of a line that is too long for an entry, only as much is given as shows that.
 *
 * @throws UsageError when it cannot be read
 */
export async function* auditLines(file: string): AsyncGenerator<AuditLine, void, undefined> {
  let begun: Buffer[] = [];
  let begunBytes = 0;
  const add = (piece: Buffer) => {
    const wanted = piece.subarray(0, maxAuditLineBytes + 1 - begunBytes);
    // A copy, so that the beginning of a line does not hold on to all that was read with it.
    if (wanted.length > 0) begun.push(Buffer.from(wanted));
    begunBytes += wanted.length;
  };
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(lineEnd); end >= 0; end = chunk.indexOf(lineEnd, from)) {
        const piece = chunk.subarray(from, end);
        if (begunBytes === 0) yield { bytes: piece, torn: false };
        else {
          add(piece);
          yield { bytes: Buffer.concat(begun), torn: false };
          begun = [];
          begunBytes = 0;
        }
        from = end + 1;
      }
      add(chunk.subarray(from));
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const why = code === "ENOENT" ? "there is no such file" : `it cannot be read: ${describeError(error)}`;
    throw new UsageError(`${file}: ${why}; expected the balancer's audit file (--audit FILE)`);
  }
  if (begunBytes > 0) yield { bytes: Buffer.concat(begun), torn: true };
}
