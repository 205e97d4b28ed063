import type { Logger } from "pino";
import type { Occurrence, UploadName } from "../domain/occurrence.js";
import type { Observer } from "../ports/observer.js";

/** Writes every occurrence to the log: a constant message each, the facts in fields. */
export class LogObserver implements Observer {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  note(occurrence: Occurrence): void {
    const log = this.#log;
    switch (occurrence.kind) {
      case "received": {
        const { upload, client, resumedAtBytes, priority } = occurrence;
        const facts = names(upload);
        facts.client = client;
        if (resumedAtBytes > 0) facts.resumedAtBytes = resumedAtBytes;
        if (priority) facts.priority = priority;
        log.info(facts, "file received");
        break;
      }
      case "queued":
        log.debug({ ...names(occurrence.upload), sizeBytes: occurrence.sizeBytes }, "file complete");
        break;
      case "chosen": {
        const { upload, server, attempt, client } = occurrence;
        const { requestNumber, uploadId, name } = names(upload);
        log.info({ requestNumber, uploadId, name, server, attempt, client }, "server chosen");
        break;
      }
      case "attempt-failed": {
        const { upload, server, attempt, outcome, message, retryInMs } = occurrence;
        log.warn({ ...names(upload), server, attempt, outcome, reason: message, retryInMs }, "attempt failed");
        break;
      }
      case "attempt-void": {
        const { upload, server, attempt } = occurrence;
        log.debug({ ...names(upload), server, attempt }, "attempt void");
        break;
      }
      case "stored": {
        const { upload, receipt, tookMs } = occurrence;
        const { server, storedName, sizeBytes, attempts } = receipt;
        const { requestNumber, uploadId, name } = names(upload);
        log.info({ requestNumber, uploadId, name, server, storedName, sizeBytes, attempts, tookMs }, "file stored");
        break;
      }
      case "rejected": {
        const { upload, rejection } = occurrence;
        log.warn({ ...names(upload), reason: rejection.reason, detail: rejection.message }, "file rejected");
        break;
      }
      case "dead-letter":
        log.info({ ...names(occurrence.upload), action: occurrence.action }, "dead letter settled");
        break;
      case "found":
        log.info({ ...names(occurrence.upload), server: occurrence.server }, "file found on a server");
        break;
      case "unsettled":
        log.warn({ ...names(occurrence.upload), servers: occurrence.servers }, "file unsettled");
        break;
      case "not-admitted": {
        const { uploadId, name, client, rejection } = occurrence;
        log.warn({ uploadId, name, client, reason: rejection.reason, detail: rejection.message }, "file not admitted");
        break;
      }
      case "stream-ended":
        log.warn(
          { client: occurrence.client, reason: occurrence.error.reason, detail: occurrence.error.message },
          "upload stream ended",
        );
        break;
      case "server-health": {
        const { server, from, to, reason } = occurrence;
        log[to === "unhealthy" ? "warn" : "info"]({ server, from, to, reason }, "server health changed");
        break;
      }
      case "server-overload": {
        const { server, overloaded, causes } = occurrence;
        log[overloaded ? "warn" : "info"]({ server, overloaded, causes }, "server overload changed");
        break;
      }
      case "server-announced": {
        const { server, instanceId, version, peer, serving } = occurrence;
        log[serving ? "info" : "warn"]({ server, instanceId, version, peer, serving }, "server announced");
        break;
      }
      case "server-claimed": {
        const { server, asked, claimed } = occurrence;
        log.info({ server, asked, claimed }, "server claimed files");
        break;
      }
      // The log has them by the call, the audit one by one.
      case "claimed":
      case "claim-ended":
        break;
      case "claims-ended": {
        const { server, files } = occurrence;
        log.info({ server, files }, "claims ended");
        break;
      }
      case "server-changed": {
        const { server, change, detail, by } = occurrence;
        log.info({ server, change, detail, by }, "pool changed");
        break;
      }
      case "config-reloaded": {
        const { file, by, changed, needRestart } = occurrence;
        log.info({ file, by, changed }, "configuration reloaded");
        for (const setting of needRestart) log.warn({ setting }, "setting needs a restart");
        break;
      }
      case "config-refused": {
        const { file, by, problems } = occurrence;
        log.error({ file, by, problems }, "configuration refused, the one before stays in force");
        break;
      }
      case "name-unresolved": {
        const { name, reason } = occurrence;
        log.warn({ name, reason }, "name not resolved, its servers stay as they were");
        break;
      }
      case "name-resolved": {
        const { name, addresses } = occurrence;
        log.info({ name, addresses }, "name resolved again");
        break;
      }
      case "server-ejected": {
        const { server, forMs, reason } = occurrence;
        log.warn({ server, forMs, reason }, "server ejected");
        break;
      }
      case "extra-copy": {
        const { requestNumber, server, result } = occurrence;
        log.info({ requestNumber: String(requestNumber), server, result }, "extra copy settled");
        break;
      }
      case "recovered": {
        const { what, files, upload } = occurrence;
        log.info({ what, files, ...(upload && names(upload)) }, "taken up after a restart");
        break;
      }
      case "quarantined": {
        const { what, detail, requestNumber } = occurrence;
        const number = requestNumber === undefined ? {} : { requestNumber: String(requestNumber) };
        log.error({ what, detail, ...number }, "quarantined");
        break;
      }
      case "fault":
        log.error({ where: occurrence.where, err: occurrence.error }, "fault");
    }
  }
}

function names({ requestNumber, uploadId, name }: UploadName): Record<string, string | number> {
  // Numbers beyond 2^53 must survive JSON: the log has them as text.
  return { requestNumber: String(requestNumber), uploadId, name };
}
