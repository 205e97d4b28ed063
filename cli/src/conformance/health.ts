import { status } from "@grpc/grpc-js";
import type { Check } from "./check.js";
import { expectStatus, type Probe, statusOf } from "./probe.js";
import { expectEqual, NotImplemented, Violation } from "./violation.js";

/** The standard health service. @param level whether the contract demands `Check` */
export function healthChecks(level: Check<Probe>["level"]): readonly Check<Probe>[] {
  return [
    {
      name: "health.serving",
      level,
      rule: "grpc.health.v1.Health/Check for the empty service name says SERVING while the server takes files.",
      async run(probe) {
        await probe.storeSample(100);
        expectEqual(await probe.check(""), "SERVING", "the health of the server that has just stored a file");
      },
    },
    {
      name: "health.unknown-service",
      level: "optional",
      rule: "Health/Check for a service that the server does not know ends with NOT_FOUND (the gRPC health checking protocol).",
      async run(probe) {
        await expectStatus(probe.check("no.such.Service"), status.NOT_FOUND, "Check for an unknown service");
      },
    },
    {
      name: "health.watch",
      level: "optional",
      rule: "Health/Watch, where it is implemented, tells the present health at once.",
      async run(probe) {
        const watch = probe.health.watch({ service: "" });
        try {
          const first = await new Promise<string>((resolve, reject) => {
            const late = setTimeout(() => reject(new Violation("Watch told nothing at once")), probe.options.timeoutMs);
            watch.once("data", (answer: { status: string }) => resolve(answer.status));
            watch.once("error", (error) =>
              reject(statusOf(error) === status.UNIMPLEMENTED ? new NotImplemented("Health/Watch") : error),
            );
            watch.once("close", () => clearTimeout(late));
          });
          expectEqual(first, "SERVING", "the health that Watch tells first");
        } finally {
          watch.on("error", () => {}).cancel();
        }
      },
    },
  ];
}
