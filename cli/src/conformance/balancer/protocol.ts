import { maxPartsPerMessage } from "@bilancia/proto/limits";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { tooLargePart, wrongOffsets } from "../mistakes.js";
import type { BalancerProbe } from "./balancer-probe.js";

/** What cannot be understood ends the stream. */
export const protocolChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "protocol.offset",
    level: "required",
    rule: "An offset that does not continue the file ends the stream with INVALID_ARGUMENT; the same upload can be sent again.",
    async run(probe) {
      for (const { sizeBytes, said, parts } of wrongOffsets) {
        const file = probe.file(sizeBytes, said);
        const session = probe.open();
        await session.sendParts(parts(file), file.uploadId);
        await session.endsWith(status.INVALID_ARGUMENT);
        await probe.store(file);
      }
    },
  },
  {
    name: "protocol.no-header",
    level: "required",
    rule: "Data before any header ends the stream with INVALID_ARGUMENT.",
    async run(probe) {
      const session = probe.open();
      await session.send({ offset: 0, data: Buffer.from("no header") });
      await session.endsWith(status.INVALID_ARGUMENT);
    },
  },
  {
    name: "protocol.part-over-limit",
    level: "required",
    rule: "Data over 256 KiB in one part ends the stream with INVALID_ARGUMENT.",
    async run(probe) {
      const file = probe.file(tooLargePart.sizeBytes);
      const session = probe.open();
      await session.send(...tooLargePart.parts(file));
      await session.endsWith(status.INVALID_ARGUMENT);
      await probe.store(file);
    },
  },
  {
    name: "protocol.parts-count",
    level: "required",
    rule: "A message has between 1 and 64 parts; another one ends the stream with INVALID_ARGUMENT.",
    async run(probe) {
      for (const count of [0, maxPartsPerMessage + 1]) {
        const session = probe.open();
        await session.send(...Array.from({ length: count }, () => probe.file(10).whole()));
        await session.endsWith(status.INVALID_ARGUMENT);
      }
    },
  },
  {
    name: "protocol.no-message",
    level: "required",
    rule: "Bytes that are no UploadFileRequest end the stream with an error, and nobody else's.",
    async run(probe) {
      const [bystander, session] = [probe.open(), probe.open()];
      const file = probe.file(300_000);
      for (const part of file.parts().slice(0, 2)) await bystander.send(part);
      // A part that says it is longer than the message.
      await session.sendRaw(Buffer.from([0x0a, 0xff, 0xff, 0x01]));
      await session.endsWithError();
      for (const part of file.parts().slice(2)) await bystander.send(part);
      await bystander.stored(file);
      await bystander.close();
    },
  },
  {
    name: "protocol.message-over-limit",
    level: "required",
    rule: "A message over 1 MiB ends the stream with RESOURCE_EXHAUSTED.",
    async run(probe) {
      const client = probe.connect(undefined, { "grpc.max_send_message_length": -1 });
      const session = probe.open(client);
      await session.send(...Array.from({ length: 5 }, () => probe.file(250_000).whole()));
      await session.endsWith(status.RESOURCE_EXHAUSTED);
    },
  },
];
