import { Priority, RejectReason, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { maxContentTypeBytes, maxLabelKeyBytes, maxLabels, maxLabelValueBytes } from "@bilancia/proto/limits";
import type { Check } from "../check.js";
import { badDocuments, countedDocuments, expectCounts } from "../sample-documents.js";
import { fullLabels, goodNames, hostileNames } from "../sample-names.js";
import { expectEqual, NotImplemented } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";

/** What a header says: names, ids, kinds. */
export const headerChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "names.hostile",
    level: "required",
    rule: "A name that is not NFC and 1-200 bytes of UTF-8, or has path separators, control or bidirectional formatting characters, a leading . or -, or is a Windows device name, is rejected with INVALID_NAME.",
    async run(probe) {
      const session = probe.open();
      for (const name of hostileNames) {
        const file = probe.file(20, { name });
        await session.send(file.whole());
        await session.rejected(file, RejectReason.REJECT_REASON_INVALID_NAME);
      }
      await session.close();
    },
  },
  {
    name: "names.good",
    level: "required",
    rule: "Names that keep to the rules are taken, whatever their script and their punctuation, up to 200 bytes.",
    async run(probe) {
      const session = probe.open();
      for (const name of goodNames) {
        const file = probe.file(20, { name });
        await session.send(file.whole());
        await session.stored(file);
      }
      await session.close();
    },
  },
  {
    name: "headers.upload-id",
    level: "required",
    rule: "An upload_id that is not a UUID is rejected with INVALID_UPLOAD_ID.",
    async run(probe) {
      for (const uploadId of ["not-a-uuid", "../../escape", "6ba7b810-9dad-11d1-80b4-00c04fd430c8x", "x".repeat(5_000)])
        await probe.expectRejection(probe.file(20, { uploadId }), RejectReason.REJECT_REASON_INVALID_UPLOAD_ID);
    },
  },
  {
    name: "headers.invalid",
    level: "required",
    rule: "A header with a wrong field (sha256, content_type, kind, ack, labels) is rejected with INVALID_HEADER.",
    async run(probe) {
      const manyLabels = Object.fromEntries(Array.from({ length: maxLabels + 1 }, (_, at) => [`key-${at}`, ""]));
      const wrong: readonly Partial<UploadHeader>[] = [
        { sha256: Buffer.alloc(31) },
        { contentType: "t".repeat(maxContentTypeBytes + 1) },
        { kind: 99 as Kind },
        { ack: 99 as UploadHeader["ack"] },
        { labels: manyLabels },
        { labels: { ["k".repeat(maxLabelKeyBytes + 1)]: "" } },
        { labels: { key: "v".repeat(maxLabelValueBytes + 1) } },
      ];
      for (const fields of wrong)
        await probe.expectRejection(probe.file(20, fields), RejectReason.REJECT_REASON_INVALID_HEADER);
    },
  },
  {
    name: "headers.descriptive",
    level: "required",
    rule: "content_type and labels up to their limits, and an unspecified kind, are taken as they are.",
    async run(probe) {
      const contentType = "t".repeat(maxContentTypeBytes);
      await probe.store(probe.file(20, { contentType, labels: fullLabels }));
      await probe.store(probe.file(20, { kind: Kind.KIND_UNSPECIFIED }));
    },
  },
  {
    name: "headers.priority",
    level: "optional",
    rule: "Files of every priority are taken, QueryUpload tells it (an unspecified one as PRIORITY_NORMAL), and one that the balancer does not know is rejected with INVALID_HEADER.",
    async run(probe) {
      const { PRIORITY_UNSPECIFIED, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH } = Priority;
      for (const priority of [PRIORITY_UNSPECIFIED, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH]) {
        const file = probe.file(20, { priority });
        await probe.store(file);
        const told = (await probe.queryFile(file)).priority;
        if (told === PRIORITY_UNSPECIFIED) throw new NotImplemented("priorities");
        expectEqual(Priority[told], Priority[priority || PRIORITY_NORMAL], "the priority that QueryUpload tells");
      }
      const unknown = probe.file(20, { priority: 99 as Priority });
      await probe.expectRejection(unknown, RejectReason.REJECT_REASON_INVALID_HEADER);
    },
  },
  {
    name: "documents.counted",
    level: "required",
    rule: "The receipt of a KIND_TEXT_DOCUMENT tells the letters a and A and the characters (Unicode code points) of its content; no other receipt does.",
    async run(probe) {
      for (const document of countedDocuments) {
        const file = probe.file(document.data, { kind: Kind.KIND_TEXT_DOCUMENT, name: "document.json" });
        expectCounts((await probe.store(file)).textStats, document);
      }
    },
  },
  {
    name: "documents.refused",
    level: "required",
    rule: "What is said to be a KIND_TEXT_DOCUMENT and is none is rejected with NOT_A_TEXT_DOCUMENT.",
    async run(probe) {
      for (const data of badDocuments)
        await probe.expectRejection(
          probe.file(data, { kind: Kind.KIND_TEXT_DOCUMENT }),
          RejectReason.REJECT_REASON_NOT_A_TEXT_DOCUMENT,
        );
    },
  },
];
