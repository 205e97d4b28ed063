import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { Check } from "./check.js";
import type { Probe } from "./probe.js";

const mebibyte = 1024 * 1024;

/** Files of all lengths, in one part and in many, for every kind of server. */
export const fileLengthChecks: readonly Check<Probe>[] = [
  {
    name: "files.empty",
    level: "required",
    rule: "A file of 0 bytes is a file like any other: header and finish, no data.",
    async run(probe) {
      await probe.storeSample(0);
      await probe.storeSample(0, maxPartDataBytes);
    },
  },
  {
    name: "files.one-byte",
    level: "required",
    rule: "A small file is one part with header, data and finish.",
    run: (probe) => probe.storeSample(1),
  },
  {
    name: "files.one-message",
    level: "required",
    rule: "The data of one part is at most 256 KiB; that much is taken.",
    run: (probe) => probe.storeSample(maxPartDataBytes),
  },
  {
    name: "files.many-messages",
    level: "required",
    rule: "Parts without a header continue the file last begun on the stream; a part with finish ends it.",
    async run(probe) {
      await probe.storeSample(mebibyte + 1, maxPartDataBytes);
      await probe.storeSample(10_000, 997);
    },
  },
  {
    name: "files.64-mib",
    level: "required",
    rule: "The contract knows no largest file; the answer tells a file's length and its SHA-256 on disk.",
    run: (probe) => probe.storeSample(64 * mebibyte, maxPartDataBytes),
  },
];
