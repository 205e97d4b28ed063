import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { LocalCluster, type RunningServer } from "../cluster.js";

/** For the balancer's configuration, where weights alone are to decide, however slow this machine is. */
export const weightsOnly = "limits: { inFlight: fixed }\n";

/** Arguments of servers that are available all the time, however slow the machine is: exact shares need them. */
export const neverOverloaded = [
  "--overload-event-loop-ms",
  "off",
  "--overload-files",
  "off",
  "--overload-memory-percent",
  "off",
];

/** What a test says of its cluster; the rest is chosen. */
export interface TestClusterOptions {
  /** Weights of `storage-1`, `storage-2`, ... */
  readonly weights: readonly number[];
  /** Names of those that the balancer is not told of. */
  readonly unlisted?: readonly string[];
  /** Programs that some of them run instead of ours, by name. */
  readonly commands?: Readonly<Record<string, readonly string[]>>;
  /** More arguments of every storage server, or of each by name. */
  readonly serverArgs?: readonly string[] | Readonly<Record<string, readonly string[]>>;
  readonly balancerArgs?: readonly string[];
  /** The balancer's configuration file, as YAML; the servers are added as flags. A function is handed the servers, which it has to name. */
  readonly balancerConfig?: string | ((servers: readonly RunningServer[]) => string);
}

/** A cluster on free ports in a temporary folder of its own, and that folder. */
export class TestCluster {
  private constructor(
    readonly folder: string,
    readonly cluster: LocalCluster,
  ) {}

  /** Starts one. `finish()` is the caller's to call, also when the test fails. */
  static async start({
    weights,
    unlisted = [],
    commands = {},
    serverArgs = [],
    balancerArgs = [],
    balancerConfig,
  }: TestClusterOptions): Promise<TestCluster> {
    const folder = await mkdtemp(path.join(tmpdir(), "bilancia-e2e-"));
    const configFile = path.join(folder, "balancer.yaml");
    const serversInFile = typeof balancerConfig === "function";
    if (typeof balancerConfig === "string") await writeFile(configFile, balancerConfig);
    const cluster = new LocalCluster({
      servers: weights.map((weight, index) => {
        const name = `storage-${index + 1}`;
        const args = "length" in serverArgs ? serverArgs : (serverArgs[name] ?? []);
        const dir = path.join(folder, name);
        const command = commands[name];
        return {
          ...{ name, weight, dir, args: args as readonly string[], unlisted: serversInFile || unlisted.includes(name) },
          ...(command && { command }),
        };
      }),
      balancer: {
        stateDir: path.join(folder, "balancer"),
        logFile: path.join(folder, "loadbalancer.log"),
        args: balancerConfig === undefined ? balancerArgs : ["--config", configFile, ...balancerArgs],
      },
      logDir: path.join(folder, "logs"),
      ...(serversInFile && {
        beforeBalancer: ({ servers }: LocalCluster) => writeFile(configFile, balancerConfig(servers)),
      }),
    });
    try {
      await cluster.start();
    } catch (error) {
      console.error(`The logs of the cluster that did not start are in ${folder}`);
      throw error;
    }
    return new TestCluster(folder, cluster);
  }

  /** The balancer's configuration file. */
  get configFile(): string {
    return path.join(this.folder, "balancer.yaml");
  }

  /** Stops the cluster. Its folder, with all logs, is removed only when the tests passed. */
  async finish(passed: boolean): Promise<void> {
    await this.cluster.stop();
    if (passed) await rm(this.folder, { recursive: true, force: true });
    else console.error(`The failed test's files and logs are in ${this.folder}`);
  }
}

/** Whether all tests of a suite passed; for its `after` hook. */
export function allPassed(suite: Mocha.Suite | undefined): boolean {
  return suite?.tests.every((test) => test.state === "passed") ?? false;
}
