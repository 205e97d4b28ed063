import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LocalCluster } from "./cluster.js";
import { aborted, endingSignal } from "./ending-signal.js";
import { humanBytes, storedFiles } from "./folder-listing.js";
import { heading } from "./headings.js";
import { runLbCliHere } from "./lb-cli.js";
import { StartError } from "./managed-process.js";

const samplesDir = fileURLToPath(new URL("../../../file", import.meta.url));
const documentCount = 12;
const pictureCount = 1;

/** A step of the demo did not do what it shows. The message is for people. */
class DemoError extends Error {}

// `npm run demo`: a cluster on free ports in a fresh folder, a few files through it, and a look at where they lie.
process.exitCode = await run();

async function run(): Promise<number> {
  const keep = parseKeep();
  if (keep === undefined) return 2;
  const folder = await mkdtemp(path.join(tmpdir(), "bilancia-demo-"));
  const cluster = new LocalCluster({
    servers: [3, 2, 1].map((weight, index) => {
      const name = `storage-${index + 1}`;
      return { name, weight, dir: path.join(folder, name) };
    }),
    balancer: { stateDir: path.join(folder, "balancer"), logFile: path.join(folder, "loadbalancer.log") },
    logDir: path.join(folder, "logs"),
    endOnSignals: false,
  });
  const ending = endingSignal();
  const stopped = aborted(ending).then(() => cluster.stop());
  try {
    await cluster.start();
    await show(cluster, ending);
    if (keep) {
      explainKept(cluster, folder);
      await stopped;
    } else {
      heading("How to go on");
      console.log("  npm run demo -- --keep   the same, and the cluster stays until Ctrl-C");
      console.log("  npm start                a cluster on the default ports, with its files in data/");
    }
    return 0;
  } catch (error) {
    if (ending.aborted) console.error("\nThe demo was interrupted.");
    else if (error instanceof DemoError || error instanceof StartError)
      console.error(`\nThe demo failed: ${error.message}`);
    else throw error;
    return 1;
  } finally {
    await cluster.stop();
    if (keep) console.log(`\nStopped. The files are still in ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  }
}

async function show(cluster: LocalCluster, signal: AbortSignal): Promise<void> {
  heading("The cluster");
  console.log(`  balancer   ${cluster.balancer.address}`);
  for (const { name, address, weight } of cluster.servers) console.log(`  ${name}  ${address}  weight ${weight}`);

  const lbCli = async (...args: string[]) => {
    heading(`lb-cli ${args.join(" ")}`);
    const code = await runLbCliHere(cluster.balancer, args, { cwd: path.dirname(samplesDir), signal });
    if (code !== 0) throw new DemoError(`lb-cli ${args[0]} ended with exit code ${code}; expected 0`);
  };
  if (!existsSync(samplesDir)) throw new DemoError(`the sample documents are missing: ${samplesDir}`);
  await lbCli("ftp", "--count", String(documentCount));
  await lbCli("upload", "file/scales.png");
  await lbCli("servers");

  heading("On the disks");
  const expectedCount = documentCount + pictureCount;
  let foundCount = 0;
  for (const { name, weight, dir } of cluster.servers) {
    const files = await storedFiles(dir);
    foundCount += files.length;
    const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    console.log(`  ${name}  weight ${weight}  ${files.length} of ${expectedCount} files, ${humanBytes(bytes)}`);
    for (const file of files) console.log(`    ${file.storedName}  ${humanBytes(file.sizeBytes)}`);
  }
  if (foundCount !== expectedCount)
    throw new DemoError(`expected ${expectedCount} files on the three servers; found ${foundCount}`);
}

function explainKept(cluster: LocalCluster, folder: string): void {
  const { address, adminAddress, webAddress } = cluster.balancer;
  const [first] = cluster.servers;
  heading("The cluster stays until Ctrl-C");
  console.log(`  balancer ${address}, admin ${adminAddress}, everything in ${folder}`);
  heading("Try, in another terminal");
  console.log(`  export BILANCIA_BALANCER=${address} BILANCIA_ADMIN=${adminAddress}`);
  console.log("  npx lb-cli ftp --count 5");
  console.log("  npx lb-cli status");
  console.log(`  open http://${webAddress}/ in a browser`);
  console.log(`  grpcurl -plaintext ${address} list`);
  console.log(`  grpcurl -plaintext ${adminAddress} bilancia.v1.Admin/GetStatus`);
  if (first) console.log(`  grpcurl -plaintext ${first.address} bilancia.v1.Storage/Load`);
}

/** Reads the command line: whether to keep the cluster, or `undefined` after saying what is wrong with it. */
function parseKeep(): boolean | undefined {
  try {
    return parseArgs({ options: { keep: { type: "boolean", default: false } } }).values.keep;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nUsage: npm run demo [-- --keep]`);
    return undefined;
  }
}
