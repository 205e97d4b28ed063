import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FaultReport, FaultRun } from "../fault-test.js";

/**
 * P9N: the network between the balancer and a storage server is cut. The test runs in network and mount namespaces of its own, so that nothing of
 * the machine's network is touched, and nothing is left when it ends, however it ends.
 *
 * @throws Error where that is not permitted: it takes root, or the right to make user namespaces
 */
export function cutNetwork(run: FaultRun): Promise<FaultReport> {
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const script = fileURLToPath(new URL("cut-flow.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(script, [JSON.stringify(run)], {
      execPath: "unshare",
      execArgv: ["--net", "--mount", ...asRoot, "--", process.execPath],
    });
    let report: FaultReport | undefined;
    child.on("message", (message: FaultReport) => {
      report = message;
    });
    child.once("error", (error) => reject(new Error(`unshare cannot be run: ${error.message}`)));
    child.once("exit", (code, signal) => {
      if (report) resolve(report);
      else reject(new Error(`the test in its own network ended ${signal ?? `with exit code ${code}`}, see above`));
    });
  });
}
