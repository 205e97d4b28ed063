import { Metadata, status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { statusOf } from "../probe.js";
import { expectThat, NotImplemented } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";

const versions = ["v1", "v1alpha"];
/** A `ServerReflectionRequest` with `list_services`, which is field 7, a string. */
const listServices = Buffer.from([0x3a, 0x00]);

/** Server reflection. */
export const reflectionChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "reflection.lists",
    level: "optional",
    rule: "Server reflection (grpc.reflection.v1 or v1alpha) lists bilancia.v1.Balancer, so that grpcurl works without the protos.",
    async run(probe) {
      for (const version of versions) {
        const listed = await services(probe, version);
        if (!listed) continue;
        expectThat(listed.includes("bilancia.v1.Balancer"), `reflection ${version} does not list bilancia.v1.Balancer`);
        return;
      }
      throw new NotImplemented("server reflection");
    },
  },
];

/** The answer to `list_services`, as it came; `undefined` where this version is not there. */
async function services(probe: BalancerProbe, version: string): Promise<Buffer | undefined> {
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const same = (bytes: Buffer) => bytes;
  const deadline = Date.now() + probe.options.timeoutMs;
  const call = probe.connectPlain().makeBidiStreamRequest(path, same, same, new Metadata(), { deadline });
  try {
    return await new Promise<Buffer | undefined>((resolve, reject) => {
      call.once("data", resolve);
      call.once("error", (error) => (statusOf(error) === status.UNIMPLEMENTED ? resolve(undefined) : reject(error)));
      call.write(listServices);
    });
  } finally {
    call.on("error", () => {}).cancel();
  }
}
