import { randomUUID } from "node:crypto";
import { Kind, type SaveHeader } from "@bilancia/proto/gen/storage";
import { SampleFile } from "../sample-file.js";

/** Which try of a file is sent. */
export interface Attempt {
  readonly term: bigint;
  readonly attempt: number;
}

/** A file that a check sends to a storage server. */
export class SaveFile extends SampleFile<SaveHeader> {
  /** @param fields what differs from a good header of a binary file */
  constructor(origin: string, requestNumber: bigint, data: Buffer, fields: Partial<SaveHeader> = {}) {
    super(
      {
        ...{ origin, requestNumber, uploadId: randomUUID(), attempt: 1, term: 1n, name: `sample-${requestNumber}.bin` },
        ...{ sizeBytes: undefined, sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, labels: {} },
        ...fields,
      },
      data,
    );
  }

  get requestNumber(): bigint {
    return this.header.requestNumber;
  }

  /** The same file as another try; also with another name, number or owner, for what is to be refused. */
  with(fields: Partial<SaveHeader>): SaveFile {
    return new SaveFile(this.header.origin, this.header.requestNumber, this.data, { ...this.header, ...fields });
  }
}
