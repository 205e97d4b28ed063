import { randomUUID } from "node:crypto";
import { Ack, Priority, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { SampleFile } from "../sample-file.js";

/** A file that a check sends to a balancer. */
export class UploadSample extends SampleFile<UploadHeader> {
  /** @param fields what differs from a good header of a binary file whose client waits for `stored` */
  constructor(data: Buffer, fields: Partial<UploadHeader> = {}) {
    super(
      {
        ...{ uploadId: randomUUID(), name: "sample.bin", sizeBytes: undefined, sha256: undefined, contentType: "" },
        ...{ kind: Kind.KIND_BINARY, ack: Ack.ACK_STORED, labels: {}, priority: Priority.PRIORITY_UNSPECIFIED },
        ...fields,
      },
      data,
    );
  }

  get uploadId(): string {
    return this.header.uploadId;
  }

  /** The same upload with another header. */
  with(fields: Partial<UploadHeader>): UploadSample {
    return new UploadSample(this.data, { ...this.header, ...fields });
  }
}
