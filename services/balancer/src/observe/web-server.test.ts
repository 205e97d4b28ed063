import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { ListenError } from "@bilancia/proto/grpc-server";
import { newBackend } from "../domain/backend.js";
import type { Occurrence } from "../domain/occurrence.js";
import type { ServerView } from "../ports/server-keeper.js";
import { Counters } from "./counters.js";
import { WebServer } from "./web-server.js";

const counts = {
  ...{ receivingFiles: 1, queuedFiles: 2, dispatchingFiles: 3, queuedBytes: 4_096 },
  ...{ storedFiles: 5, storedBytes: 6, rejectedFiles: 0, lastRequestNumber: 12n },
};

function view(name: string, kind: ServerView["state"]["kind"]): ServerView {
  return {
    backend: newBackend({ name, address: "127.0.0.1:1", weight: 3 }, 0),
    ...{ effectiveWeight: 1.5, full: false, load: undefined, storedFiles: 5, storedBytes: 6 },
    ...{ failedAttempts: 1, unsettledFiles: 0, state: { kind, sinceMs: 0, reason: "because" } },
  };
}

/** A server on a free port, with figures that a test can change. */
class Fixture {
  readonly counters = new Counters();
  readonly noted: Occurrence[] = [];
  servers: () => readonly ServerView[] = () => [view("storage-1", "available"), view("storage-2", "unhealthy")];
  isServing = true;
  readonly server = new WebServer({
    figures: {
      counters: this.counters,
      uploads: { counts: () => counts },
      servers: { servers: () => this.servers() },
      ledger: { origin: "0123456789abcdef", term: 7 },
      uploadStreams: () => 8,
      limits: { maxQueuedFiles: 1_000, maxQueuedBytes: 1_000_000 },
      ...{ version: "0.1.0", startedAtMs: 0 },
    },
    clock: { nowMs: () => 60_000, random: () => 0 },
    observer: { note: (occurrence) => this.noted.push(occurrence) },
    isServing: () => this.isServing,
  });
  address = "";

  get(path: string, method = "GET"): Promise<Response> {
    return fetch(`http://${this.address}${path}`, { method });
  }
}

describe("the page's server", () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = new Fixture();
    fixture.address = await fixture.server.listen("127.0.0.1:0");
  });
  afterEach(() => fixture.server.close());

  it("gives the page and what belongs to it, and lets nothing else into it", async () => {
    for (const [path, type, words] of [
      ["/", "text/html; charset=utf-8", '<script type="module" src="page.js">'],
      ["/?from=here", "text/html; charset=utf-8", "<title>Bilancia</title>"],
      ["/page.js", "text/javascript; charset=utf-8", "figures.json"],
      ["/page.css", "text/css; charset=utf-8", ":root"],
    ] as const) {
      const response = await fixture.get(path);
      assert.deepEqual([response.status, response.headers.get("content-type")], [200, type]);
      assert.match(response.headers.get("content-security-policy") ?? "", /^default-src 'none'; script-src 'self';/);
      assert.ok((await response.text()).includes(words), path);
    }
  });

  it("tells Prometheus each figure, servers and reasons by label", async () => {
    const { counters } = fixture;
    counters.note({
      kind: "stream-ended",
      client: "c",
      error: Object.assign(new Error(), { reason: "INTERNAL" }) as never,
    });
    counters.storedWithin[0] = 2;
    counters.storedWithin[3] = 1;
    counters.storedWithin[counters.storedWithin.length - 1] = 4;
    counters.rejected.set("QUEUE_FULL", 9);
    const response = await fixture.get("/metrics");
    assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    const lines = (await response.text()).split("\n");
    for (const line of [
      'bilancia_info{version="0.1.0",origin="0123456789abcdef"} 1',
      'bilancia_uploads{state="dispatching"} 3',
      "bilancia_max_queued_bytes 1000000",
      "# TYPE bilancia_stored_files_total counter",
      "bilancia_stored_files_total 5",
      'bilancia_stored_seconds_bucket{le="0.0025"} 2',
      'bilancia_stored_seconds_bucket{le="0.01"} 3',
      'bilancia_stored_seconds_bucket{le="+Inf"} 7',
      "bilancia_stored_seconds_count 7",
      'bilancia_rejected_files_total{reason="QUEUE_FULL"} 9',
      'bilancia_failed_attempts_total{outcome="lost"} 0',
      "bilancia_ended_streams_total 1",
      'bilancia_server_state{server="storage-2",state="unhealthy"} 1',
      'bilancia_server_state{server="storage-2",state="available"} 0',
      'bilancia_server_weight{server="storage-1"} 1.5',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(lines.some((line) => line.startsWith("process_resident_memory_bytes ")));
  });

  it("tells what docs/operations.md lists, all of it and nothing else", async () => {
    const text = await (await fixture.get("/metrics")).text();
    const told = [...text.matchAll(/^# TYPE (bilancia_\S+)/gm)].map(([, name]) => name);
    const page = await readFile(new URL("../../../../docs/operations.md", import.meta.url), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| `bilancia_"));
    const listed = rows.flatMap((row) => [...row.matchAll(/`(bilancia_\w+)`/g)].map(([, name]) => name));
    assert.deepEqual(told.sort(), listed.sort());
  });

  it("tells nothing more of a server that has been removed, and counts nothing twice", async () => {
    await fixture.get("/metrics");
    fixture.servers = () => [view("storage-1", "available")];
    const text = await (await fixture.get("/metrics")).text();
    assert.ok(!text.includes("storage-2"));
    assert.match(text, /^bilancia_server_stored_files_total\{server="storage-1"\} 5$/m);
  });

  it("gives the page its figures as JSON", async () => {
    fixture.counters.rejected.set("CANCELLED", 1);
    const figures = (await (await fixture.get("/figures.json")).json()) as Record<string, unknown>;
    const { servers, ...rest } = figures;
    assert.deepEqual(rest, {
      ...{ version: "0.1.0", origin: "0123456789abcdef", term: 7, startedAtMs: 0, nowMs: 60_000 },
      ...{ receivingFiles: 1, queuedFiles: 2, dispatchingFiles: 3, queuedBytes: 4_096 },
      ...{ storedFiles: 5, storedBytes: 6, rejectedFiles: 0, uploadStreams: 8 },
      ...{ maxQueuedFiles: 1_000, maxQueuedBytes: 1_000_000 },
      ...{ rejected: { CANCELLED: 1 }, failedAttempts: {}, quarantined: 0, faults: 0 },
    });
    assert.deepEqual((servers as unknown[])[1], {
      ...{ name: "storage-2", address: "127.0.0.1:1", weight: 3, effectiveWeight: 1.5 },
      ...{ state: "unhealthy", reason: "because", sinceMs: 0, inFlightFiles: 0, inFlightBytes: 0 },
      ...{ storedFiles: 5, storedBytes: 6, failedAttempts: 1, unsettledFiles: 0 },
    });
  });

  it("says whether the balancer serves", async () => {
    const serving = await fixture.get("/healthz");
    assert.deepEqual([serving.status, await serving.text()], [200, "serving\n"]);
    fixture.isServing = false;
    assert.equal((await fixture.get("/healthz")).status, 503);
  });

  it("answers HEAD without a body, and refuses other methods and paths in words", async () => {
    const head = await fixture.get("/", "HEAD");
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    const post = await fixture.get("/figures.json", "POST");
    assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
    for (const path of ["/../package.json", "/page.js/", "/constructor", "/%00", "/page%2ejs"]) {
      const nothing = await fixture.get(path);
      assert.deepEqual([nothing.status, (await nothing.text()).split(";")[0]], [404, "nothing here"]);
    }
  });

  it("reports a fault, says 500 and goes on", async () => {
    fixture.servers = () => {
      throw new Error("no servers");
    };
    const failed = await fixture.get("/figures.json");
    assert.equal(failed.status, 500);
    assert.ok(!(await failed.text()).includes("no servers"));
    assert.deepEqual(
      fixture.noted.map(({ kind }) => kind),
      ["fault"],
    );
    assert.equal((await fixture.get("/healthz")).status, 200);
  });

  it("outlives what is no request, and a client that is gone before its answer", async () => {
    const port = Number(fixture.address.split(":")[1]);
    for (const bytes of [
      "\0\x01\x02 nonsense\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
    ]) {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.write(bytes);
      socket.resetAndDestroy();
    }
    assert.equal((await fixture.get("/healthz")).status, 200);
  });

  it("says which address it cannot have, and where that is set", async () => {
    const second = new Fixture();
    await assert.rejects(second.server.listen(fixture.address), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(
        error.message,
        `cannot listen on ${fixture.address}: the port is in use by another process (web.listen)`,
      );
      return true;
    });
    second.server.close();
  });

  it("listens on an IPv6 address too", async () => {
    const second = new Fixture();
    second.address = await second.server.listen("[::1]:0");
    assert.match(second.address, /^\[::1\]:\d+$/);
    assert.equal((await second.get("/healthz")).status, 200);
    second.server.close();
  });
});
