import { Holding, Kind, RefuseReason, type SaveHeader } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { badDocuments, countedDocuments, expectCounts } from "../sample-documents.js";
import { fullLabels, goodNames, hostileNames } from "../sample-names.js";
import { expectThat, Violation } from "../violation.js";
import { expectRefusal } from "./identity.js";
import type { StorageProbe } from "./storage-probe.js";

/** What a header says: names, ids, kinds. */
export const headerChecks: readonly Check<StorageProbe>[] = [
  {
    name: "names.hostile",
    level: "required",
    rule: "The server checks the name again (NFC, 1-200 bytes of UTF-8, no path separators, control or bidirectional formatting characters, no leading . or -, not a Windows device name) and refuses with INVALID_NAME.",
    async run(probe) {
      for (const name of hostileNames) {
        const file = probe.file(20, { name });
        const outcome = await probe.deliver(file);
        const isRight = outcome.$case === "refused" && outcome.value.reason === RefuseReason.REFUSE_REASON_INVALID_NAME;
        if (!isRight)
          throw new Violation(
            `the name ${JSON.stringify(name)} is answered with ${outcome.$case}; expected refused INVALID_NAME`,
          );
        await probe.expectHolding(file, Holding.HOLDING_NONE);
      }
    },
  },
  {
    name: "names.good",
    level: "required",
    rule: "Names that keep to the rules are taken, whatever their script and their punctuation, up to 200 bytes.",
    async run(probe) {
      for (const name of goodNames) {
        const outcome = await probe.deliver(probe.file(20, { name }));
        expectThat(
          outcome.$case === "saved" && outcome.value.storedName.endsWith(`_${name}`),
          `the name ${JSON.stringify(name)} is answered with ${JSON.stringify(outcome.$case === "refused" ? outcome.value.message : outcome.$case)}; expected saved under that name`,
        );
      }
    },
  },
  {
    name: "headers.invalid",
    level: "required",
    rule: "A header with a missing or wrong field (origin, request_number, upload_id, attempt, sha256) is refused with INVALID_HEADER.",
    async run(probe) {
      const wrong: readonly Partial<SaveHeader>[] = [
        { origin: "" },
        { origin: "not hexadecimal" },
        { origin: probe.origin.toUpperCase().replace(/^./, "A") },
        { requestNumber: 0n },
        { uploadId: "" },
        { uploadId: "not-a-uuid" },
        { attempt: 0 },
        { sha256: Buffer.alloc(31) },
      ];
      for (const fields of wrong)
        await expectRefusal(probe, probe.file(20).with(fields), RefuseReason.REFUSE_REASON_INVALID_HEADER);
    },
  },
  {
    name: "headers.descriptive",
    level: "required",
    rule: "content_type, labels and an unspecified kind (treated as KIND_BINARY) are taken as they are.",
    async run(probe) {
      await probe.store(probe.file(20, { contentType: "application/x-sample", labels: fullLabels }));
      await probe.store(probe.file(20, { kind: Kind.KIND_UNSPECIFIED }));
    },
  },
  {
    name: "documents.counted",
    level: "required",
    rule: "For KIND_TEXT_DOCUMENT the server counts the letters a and A and the characters (Unicode code points) of the content.",
    async run(probe) {
      for (const document of countedDocuments) {
        const file = probe.file(document.data, { kind: Kind.KIND_TEXT_DOCUMENT, name: "document.json" });
        const { textStats } = await probe.store(file);
        expectCounts(textStats, document);
      }
    },
  },
  {
    name: "documents.refused",
    level: "required",
    rule: "What is said to be a KIND_TEXT_DOCUMENT and is none is refused with NOT_A_TEXT_DOCUMENT.",
    async run(probe) {
      for (const data of badDocuments) {
        const file = probe.file(data, { kind: Kind.KIND_TEXT_DOCUMENT });
        await expectRefusal(probe, file, RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT);
        await probe.expectHolding(file, Holding.HOLDING_NONE);
      }
    },
  },
];
