import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { parseHTML } from "linkedom";

const folder = new URL("../../page/", import.meta.url);

const server = {
  ...{ name: "storage-1", address: "127.0.0.1:50061", weight: 3, effectiveWeight: 3, state: "available", reason: "" },
  ...{ inFlightFiles: 0, inFlightBytes: 0, storedFiles: 30, storedBytes: 2_048, failedAttempts: 0, unsettledFiles: 0 },
};
const figures = {
  ...{ version: "0.1.0", origin: "0123456789abcdef", term: 7, startedAtMs: 0, nowMs: 90 * 60_000 },
  ...{ receivingFiles: 1, queuedFiles: 2, dispatchingFiles: 3, queuedBytes: 1_536, maxQueuedFiles: 1_000 },
  ...{ maxQueuedBytes: 1_048_576, storedFiles: 40, storedBytes: 4_096, uploadStreams: 1 },
  ...{ rejected: {}, failedAttempts: {}, quarantined: 0, faults: 0, servers: [server] },
};

/** What these tests use of a document: the project is built without a browser's types. */
interface PageDocument {
  querySelectorAll(selector: string): ArrayLike<{ readonly textContent: string }>;
  getElementById(id: string): { getAttribute(name: string): string | null; hasAttribute(name: string): boolean } | null;
}

/** The page as a browser has it, but with a balancer that answers what a test says, and a second that is over when it says so. */
class Page {
  readonly document: PageDocument;
  readonly #globals = globalThis as { document?: PageDocument };
  readonly #fetch = globalThis.fetch;
  readonly #setTimeout = globalThis.setTimeout;
  #next: (() => Promise<void>) | undefined;
  #answer: () => Response;

  private constructor(html: string, answer: () => Response) {
    this.document = (parseHTML(html) as unknown as { document: PageDocument }).document;
    this.#answer = answer;
    this.#globals.document = this.document;
    globalThis.fetch = async () => this.#answer();
    const setTimeout = (callback: () => Promise<void>) => {
      this.#next = callback;
    };
    globalThis.setTimeout = setTimeout as unknown as typeof globalThis.setTimeout;
  }

  static async open(answer: () => Response): Promise<Page> {
    const page = new Page(await readFile(new URL("index.html", folder), "utf8"), answer);
    // A query makes it another module, so that each test begins without what another has counted.
    await import(`${new URL("page.js", folder).href}?${Math.random()}`);
    return page;
  }

  async secondLater(answer: () => Response): Promise<void> {
    this.#answer = answer;
    await this.#next?.();
  }

  close(): void {
    delete this.#globals.document;
    globalThis.fetch = this.#fetch;
    globalThis.setTimeout = this.#setTimeout;
  }

  text(selector: string): string {
    return Array.from(this.document.querySelectorAll(selector), ({ textContent }) => textContent).join("|");
  }
}

describe("the page", () => {
  let page: Page;
  const open = async (answer: () => Response) => {
    page = await Page.open(answer);
  };
  afterEach(() => page.close());

  it("shows what the balancer does, and its servers", async () => {
    await open(() => Response.json(figures));
    assert.equal(page.text("#connection"), "up to date");
    assert.equal(page.text("#about"), "0.1.0, up 1 h 30 min, start 7 of 01234567");
    assert.equal(page.text("#now dt"), "stored per second|stored since the start|waiting|their bytes|arriving");
    assert.equal(page.text("#now dd"), "–|404.0 KiB|50.50 % of 1,000|1.5 KiB0.15 % of 1.0 MiB|11 open stream");
    assert.equal(page.text("#servers td"), "storage-1127.0.0.1:50061|available|3|0|30|2.0 KiB| 100 %|0");
    assert.ok(page.document.getElementById("trouble")?.hasAttribute("hidden"));
  });

  it("works out the pace from two looks, by the balancer's own clock, and draws it", async () => {
    await open(() => Response.json(figures));
    const later = { ...figures, nowMs: figures.nowMs + 2_000, storedFiles: 140, storedBytes: 4_096 + 204_800 };
    await page.secondLater(() => Response.json(later));
    assert.equal(page.text("#now dd").split("|")[0], "50100 KiB/s");
    assert.equal(page.document.getElementById("line")?.getAttribute("d"), "M119,1");
    assert.equal(page.text("#scale"), "at most 50 a second");
  });

  it("takes a balancer that has started anew for what it is: nothing below zero", async () => {
    await open(() => Response.json(figures));
    await page.secondLater(() => Response.json({ ...figures, nowMs: figures.nowMs + 1_000, storedFiles: 0 }));
    assert.equal(page.text("#now dd").split("|")[0], "–");
    await page.secondLater(() => Response.json({ ...figures, nowMs: figures.nowMs + 2_000, storedFiles: 5 }));
    assert.match(page.text("#now dd"), /^5/);
  });

  it("says why a server gets nothing, how its weight differs, and what went wrong", async () => {
    const servers = [{ ...server, state: "overloaded", reason: "memory", effectiveWeight: 1.26 }];
    const troubles = { rejected: { QUEUE_FULL: 12 }, failedAttempts: { lost: 3 }, quarantined: 1 };
    await open(() => Response.json({ ...figures, ...troubles, servers }));
    assert.match(page.text("#servers td"), /\|overloadedmemory\|1\.3 of 3\|/);
    assert.equal(page.text("#troubles dt"), "files: QUEUE_FULL|attempts: lost|damage put aside");
    assert.ok(!page.document.getElementById("trouble")?.hasAttribute("hidden"));
  });

  it("shows all text as text", async () => {
    const hostile = "<img src=x onerror=alert(1)>";
    const servers = [{ ...server, name: hostile, state: "unhealthy", reason: hostile }];
    await open(() => Response.json({ ...figures, version: hostile, servers }));
    assert.equal(page.document.querySelectorAll("img").length, 0);
    assert.ok(page.text("#servers td").includes(hostile));
  });

  it("says when the balancer does not answer, keeps its last figures, and goes on by itself", async () => {
    await open(() => Response.json(figures));
    await page.secondLater(() => {
      throw new TypeError("fetch failed");
    });
    assert.match(
      page.text("#connection"),
      /^the balancer is not there: it does not answer; these are its last figures$/,
    );
    assert.match(page.text("#servers td"), /^storage-1/);
    await page.secondLater(() => new Response("", { status: 500 }));
    assert.match(page.text("#connection"), /it answered 500/);
    await page.secondLater(() => Response.json(figures));
    assert.equal(page.text("#connection"), "up to date");
  });
});
