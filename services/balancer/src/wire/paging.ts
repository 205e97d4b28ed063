import { maxMessageBytes } from "@bilancia/proto/limits";
import { BilanciaError } from "../domain/errors.js";

const defaultPageSize = 100;
const maxPageSize = 1_000;
/** How much the entries of a page may have together, in bytes: what fits into a message with room to spare. */
const maxPageBytes = maxMessageBytes / 2;

/** How many entries a page has at most, as asked for. @throws BilanciaError `INVALID_HEADER` */
export function readPageSize(pageSize: number): number {
  if (pageSize <= maxPageSize) return pageSize || defaultPageSize;
  throw new BilanciaError("INVALID_HEADER", `expected a page_size of at most ${maxPageSize}; came ${pageSize}`);
}

/** The request number after which a page begins: its token is the last number of the page before. @throws BilanciaError `INVALID_HEADER` */
export function readPageToken(token: string): bigint {
  if (token === "") return 0n;
  if (/^[1-9][0-9]{0,19}$/.test(token) && BigInt(token) < 2n ** 64n) return BigInt(token);
  const came = JSON.stringify(token.slice(0, 60));
  throw new BilanciaError("INVALID_HEADER", `expected a page_token from the answer before; came ${came}`);
}

/** The first entries, as many as fit into one message; one at least. */
export function fittingPage<Entry>(entries: readonly Entry[], sizeBytesOf: (entry: Entry) => number): Entry[] {
  let bytes = 0;
  const end = entries.findIndex((entry) => {
    bytes += sizeBytesOf(entry);
    return bytes > maxPageBytes;
  });
  return entries.slice(0, end === -1 ? undefined : Math.max(1, end));
}
