import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listenError, withPort } from "@bilancia/proto/grpc-server";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import { type FigureSources, pageFigures } from "./figures.js";

/** What a path answers. */
interface Answer {
  readonly type: string;
  readonly body: string | Buffer;
  /** Default: 200. */
  readonly code?: number;
}

interface WebServerParts {
  readonly figures: FigureSources;
  readonly clock: Clock;
  /** Hears of faults. */
  readonly observer: Observer;
  /** False while the balancer stops. */
  readonly isServing: () => boolean;
}

const pageFolder = new URL("../../page/", import.meta.url);

/** Nothing but what this server gives, nothing inside of the page, and nobody else's frame around it. */
const pagePolicy = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The page, its figures, the metrics and whether the balancer serves, over HTTP. It only tells: nothing can be changed through it. */
export class WebServer {
  readonly #parts: WebServerParts;
  readonly #server: Server;
  readonly #answers: Readonly<Record<string, () => Promise<Answer>>>;
  #metrics: Promise<import("prom-client").Registry> | undefined;

  constructor(parts: WebServerParts) {
    this.#parts = parts;
    this.#answers = {
      "/": () => pageFile("index.html", "text/html"),
      "/page.css": () => pageFile("page.css", "text/css"),
      "/page.js": () => pageFile("page.js", "text/javascript"),
      "/figures.json": async () => ({
        type: "application/json",
        body: JSON.stringify(pageFigures(parts.figures, parts.clock.nowMs())),
      }),
      "/metrics": () => this.#metricsText(),
      "/healthz": async () =>
        parts.isServing() ? text(200, "serving\n") : text(503, "stopping: takes no new files\n"),
    };
    // Requests are a line and some headers: whoever takes longer than this for them, or keeps connections for nothing, is cut off.
    this.#server = createServer({ requestTimeout: 10_000, keepAliveTimeout: 10_000 }, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.maxConnections = 256;
  }

  /**
   * @param address `host:port`; port 0 takes a free one
   * @returns the address with the real port
   * @throws ListenError, with the address and the reason
   */
  async listen(address: string): Promise<string> {
    const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
    this.#server.listen(Number(port), host);
    try {
      await once(this.#server, "listening");
    } catch (error) {
      throw listenError(address, error, "web.listen");
    }
    const report = (error: Error) => this.#parts.observer.note({ kind: "fault", where: "the page's server", error });
    this.#server.on("error", report);
    return withPort(address, (this.#server.address() as AddressInfo).port);
  }

  /** Ends at once; an answer that is on its way is cut off. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.#answerTo(request, response);
    } catch (error) {
      this.#parts.observer.note({ kind: "fault", where: `the page's server, ${request.url}`, error });
      answer = text(500, "internal error; the balancer's log says more\n");
    }
    const { type, body, code = 200 } = answer;
    response.writeHead(code, {
      "content-type": type.includes(";") ? type : `${type}; charset=utf-8`,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "content-security-policy": pagePolicy,
      "x-content-type-options": "nosniff",
      // What comes after a body that nobody wants is not read as a request.
      ...(code === 405 && { connection: "close" }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  async #answerTo({ method, url = "/" }: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const path = url.replace(/[?#].*$/s, "");
    const find = Object.hasOwn(this.#answers, path) ? this.#answers[path] : undefined;
    if (!find) return text(404, `nothing here; there is ${Object.keys(this.#answers).join(", ")}\n`);
    if (method === "GET" || method === "HEAD") return find();
    response.setHeader("allow", "GET, HEAD");
    return text(405, "expected GET or HEAD: nothing can be changed here\n");
  }

  async #metricsText(): Promise<Answer> {
    this.#metrics ??= import("./metrics.js").then(({ metricsOf }) => metricsOf(this.#parts.figures));
    const registry = await this.#metrics;
    return { type: registry.contentType, body: await registry.metrics() };
  }
}

function text(code: number, body: string): Answer {
  return { code, type: "text/plain", body };
}

async function pageFile(name: string, type: string): Promise<Answer> {
  return { type, body: await readFile(new URL(name, pageFolder)) };
}
