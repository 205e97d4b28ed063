import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";
import { emptyFinish, type SampleFile } from "./sample-file.js";

/** A file that is sent wrongly. */
export interface Mistake {
  readonly sizeBytes: number;
  /** What its header says. */
  readonly said?: { readonly sizeBytes?: bigint; readonly sha256?: Buffer };
  /** What is sent of it. */
  readonly parts: <Header>(file: SampleFile<Header>) => Part<Header>[];
}

const wrongDigest = Buffer.alloc(32, 7);

/** Bytes with another CRC-32C than came with them. */
export const damagedFiles: readonly Mistake[] = [
  { sizeBytes: 700, parts: (file) => [{ ...file.whole(), crc32c: (crc32c(file.data) ^ 1) >>> 0 }] },
  { sizeBytes: 700_000, parts: (file) => file.parts().map((part, at) => (at === 2 ? { ...part, crc32c: 0 } : part)) },
  { sizeBytes: 0, parts: (file) => [{ ...file.whole(), crc32c: 1 }] },
];

/** Files with another SHA-256 than is said of them. */
export const wrongDigests: readonly Mistake[] = [
  { sizeBytes: 700, said: { sha256: wrongDigest }, parts: (file) => [file.whole(emptyFinish)] },
  { sizeBytes: 700_000, parts: (file) => file.parts(undefined, 0, { ...emptyFinish, sha256: wrongDigest }) },
];

/** Files with another length than is said of them. */
export const wrongSizes: readonly Mistake[] = [
  ...[699n, 701n].flatMap((sizeBytes): Mistake[] => [
    { sizeBytes: 700, said: { sizeBytes }, parts: (file) => [file.whole(emptyFinish)] },
    { sizeBytes: 700, parts: (file) => [file.whole({ ...emptyFinish, sizeBytes })] },
  ]),
  { sizeBytes: 700_000, said: { sizeBytes: 699_999n }, parts: (file) => file.parts(undefined, 0, emptyFinish) },
];

/** Files of which the header and finish say different things. */
export const contradictions: readonly Mistake[] = [
  { sizeBytes: 700, said: { sizeBytes: 700n }, parts: (file) => [file.whole({ ...emptyFinish, sizeBytes: 701n })] },
  {
    sizeBytes: 700,
    said: { sha256: wrongDigest },
    parts: (file) => [file.whole({ ...emptyFinish, sha256: Buffer.from(file.sha256, "hex") })],
  },
];

/** Data that does not continue its file. */
export const wrongOffsets: readonly Mistake[] = [
  ...[99_999, 100_001, 0].map(
    (offset): Mistake => ({
      sizeBytes: 200_000,
      parts: (file) => file.parts(100_000).map((part, at) => (at === 2 ? { ...part, offset } : part)),
    }),
  ),
  { sizeBytes: 100, parts: (file) => [{ ...file.whole(), offset: 1 }] },
];

/** Data over 256 KiB in one part. */
export const tooLargePart: Mistake = { sizeBytes: maxPartDataBytes + 1, parts: (file) => [file.whole()] };
