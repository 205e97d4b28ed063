import assert from "node:assert/strict";
import { Writable } from "node:stream";
import type { WatchLoadRequest, WatchLoadResponse } from "@bilancia/proto/gen/storage";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { pino } from "pino";
import { InFlight } from "./in-flight.js";
import { LoadMonitor } from "./load-monitor.js";
import type { SaveDesk } from "./save-desk.js";
import { StorageService } from "./storage-service.js";

describe("WatchLoad", () => {
  it("keeps no messages for a watcher that does not read, and then tells it how things are", async () => {
    const log = pino({ level: "silent" });
    const inFlight = new InFlight(10);
    const limits = { files: { high: 1, low: 0 } };
    const options = { serverName: "s-1", version: "", dir: ".", limits, inFlight, storedFilesCount: () => 0, log };
    const monitor = new LoadMonitor(options);
    const service = new StorageService({ log, inFlight } as unknown as SaveDesk, monitor);
    await monitor.start();
    const read: (boolean | undefined)[] = [];
    let readOn: (() => void) | undefined;
    const call = new Writable({
      objectMode: true,
      write({ load }: WatchLoadResponse, _encoding, done) {
        read.push(load?.overloaded);
        if (readOn) done();
        else readOn = done;
      },
    });
    service.handlers().watchLoad(call as unknown as ServerWritableStream<WatchLoadRequest, WatchLoadResponse>);
    for (let count = 0; count < 1_000; count++) {
      inFlight.begin();
      inFlight.end(0);
    }
    inFlight.begin();
    assert.ok(call.writableLength <= call.writableHighWaterMark, `${call.writableLength} messages wait`);
    readOn?.();
    await eventually("what waits", () => call.writableLength === 0);
    assert.ok(read.length < 100, `${read.length} messages`);
    assert.equal(read.at(-1), true);
    // It is told of each change again.
    inFlight.end(0);
    assert.equal(read.at(-1), false);
    call.destroy();
    monitor.stop();
  });
});
