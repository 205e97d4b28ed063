import type { Dialect, StoredFile } from "./dialect.js";
import { FileStream } from "./file-stream.js";
import type { Payload } from "./payload.js";

/** One way of getting files onto the storage servers. Whoever makes it closes it. */
export interface Contender {
  readonly name: string;
  /** Sends a file; resolves once it is acknowledged and found to be what was sent. @param worker the same number never sends two at a time */
  send(worker: number, payload: Payload): Promise<StoredFile | undefined>;
  /** Resolves when everything acknowledged is stored. @throws Error when something is not, or not as it was sent */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Many files per stream, over so many streams; a worker always uses the same one. */
export function overStreams<Header, Response>(
  name: string,
  dialect: Dialect<Header, Response>,
  streamsCount: number,
): Contender {
  // Opened now and in order: a proxy then gives each its own server.
  const streams = Array.from({ length: streamsCount }, (_, index) => new FileStream(dialect, index));
  return {
    name,
    send: (worker, payload) => (streams[worker % streamsCount] as (typeof streams)[0]).send(payload),
    async settled() {
      await Promise.all(streams.map((open) => open.settled()));
    },
    async close() {
      await Promise.all(streams.map((open) => open.close()));
      dialect.close();
    },
  };
}

/** One call for each file. */
export function oneCallPerFile<Header, Response>(name: string, dialect: Dialect<Header, Response>): Contender {
  return {
    name,
    send: (worker, payload) => new FileStream(dialect, worker).send(payload, true),
    async settled() {},
    async close() {
      dialect.close();
    },
  };
}
