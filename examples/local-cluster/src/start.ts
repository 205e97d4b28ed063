import path from "node:path";
import { LocalCluster } from "./cluster.js";
import { aborted, endingSignal } from "./ending-signal.js";
import { heading } from "./headings.js";
import { describeExit, StartError } from "./managed-process.js";

// `npm start`: the whole cluster on its default ports, until Ctrl-C.
process.exitCode = await run();

async function run(): Promise<number> {
  const logDir = path.join("data", "logs");
  let problem: string | undefined;
  const cluster = new LocalCluster({
    servers: [3, 2, 1].map((weight, index) => ({
      name: `storage-${index + 1}`,
      weight,
      listen: `127.0.0.1:${50061 + index}`,
      dir: path.join("data", `json_files_${index + 1}`),
    })),
    balancer: {
      listen: "127.0.0.1:50051",
      adminListen: "127.0.0.1:50052",
      webListen: "127.0.0.1:8080",
      stateDir: path.join("data", "balancer"),
      logFile: "loadbalancer.log",
    },
    logDir,
    endOnSignals: false,
    onUnexpectedExit: (name, exit) => {
      problem ??= `${name} ended ${describeExit(exit)}; what it said is in ${logDir}`;
      process.kill(process.pid, "SIGTERM");
    },
  });
  const ending = endingSignal();
  const stopped = aborted(ending).then(() => cluster.stop());
  try {
    await cluster.start();
    announce(cluster);
  } catch (error) {
    // A stop in the middle of the start makes it fail, as it should.
    if (!ending.aborted) {
      if (!(error instanceof StartError)) throw error;
      problem = error.message;
    }
  }
  if (problem === undefined) await stopped;
  await cluster.stop();
  if (problem === undefined) {
    console.log("\nStopped.");
    return 0;
  }
  console.error(problem);
  return 1;
}

function announce(cluster: LocalCluster): void {
  heading("Bilancia is running");
  console.log(`  balancer   ${cluster.balancer.address}  (admin ${cluster.balancer.adminAddress})`);
  for (const { name, address, weight, dir } of cluster.servers)
    console.log(`  ${name}  ${address}  weight ${weight}  ${dir}`);
  heading("Try");
  console.log("  npx lb-cli ftp --count 5");
  console.log("  npx lb-cli servers");
  console.log(`  open http://${cluster.balancer.webAddress}/ in a browser`);
  console.log("  tail -f loadbalancer.log");
  console.log("\nCtrl-C stops it; the files stay.");
}
