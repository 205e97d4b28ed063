import { fileURLToPath } from "node:url";
import { Child, freeAddress } from "./child.js";

const script = (name: string) => fileURLToPath(new URL(`../programs/${name}.js`, import.meta.url));
const node = (name: string, args: readonly string[]) => new Child(name, process.execPath, [script(name), ...args]);

/** A process of the benchmark's own that serves at an address. */
export interface RunningScript {
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts one of the servers in `programs/`; its first argument is its address. */
export async function startScript(
  name: "tcp-sink" | "stock-server" | "teaching-balancer",
  args: readonly string[] = [],
): Promise<RunningScript> {
  const address = await freeAddress();
  const child = node(name, [address, ...args]);
  await child.listens(address);
  return { address, stop: () => child.stop() };
}

/** How long and how narrow a link is. */
export interface LinkOptions {
  /** In each direction, in milliseconds. Default: 0. */
  readonly delayMs?: number;
  /** In each direction. Default: no limit. */
  readonly bytesPerSecond?: number;
}

/** Starts a link to servers at once; see `programs/link-proxy.ts`. It serves soon. @param routes target by listening address */
export function spawnLink(routes: Readonly<Record<string, string>>, options: LinkOptions): Child {
  return node("link-proxy", [
    ...Object.entries(routes).flatMap(([listen, target]) => ["--route", `${listen}=${target}`]),
    ...(options.delayMs === undefined ? [] : ["--delay-ms", String(options.delayMs)]),
    ...(options.bytesPerSecond === undefined ? [] : ["--bytes-per-second", String(options.bytesPerSecond)]),
  ]);
}

/** A link to several servers, that serves. @param targets addresses by name */
export async function startLink(
  targets: Readonly<Record<string, string>>,
  options: LinkOptions,
): Promise<{ addressOf(name: string): string; stop(): Promise<void> }> {
  const addresses = new Map<string, string>();
  for (const name of Object.keys(targets)) addresses.set(name, await freeAddress());
  const addressOf = (name: string) => {
    const address = addresses.get(name);
    if (address === undefined) throw new Error(`the link does not lead to ${name}`);
    return address;
  };
  const routes = Object.entries(targets).map(([name, target]) => [addressOf(name), target]);
  const child = spawnLink(Object.fromEntries(routes), options);
  for (const address of addresses.values()) await child.listens(address);
  return { addressOf, stop: () => child.stop() };
}
