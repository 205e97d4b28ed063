import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, freeAddress } from "./child.js";

/** What may stand in front of the storage servers instead of the balancer. */
export const proxyNames = ["nginx", "haproxy"] as const;
export type ProxyName = (typeof proxyNames)[number];
/** Everything that `bench/setup.sh` installs. */
export const peerNames = [...proxyNames, "nats-server"] as const;

/** A proxy that serves. */
export interface RunningPeer {
  readonly address: string;
  stop(): Promise<void>;
}

const templates: Readonly<Record<ProxyName, string>> = { nginx: "nginx.conf", haproxy: "haproxy.cfg" };
const commands: Readonly<Record<ProxyName, (config: string) => string[]>> = {
  nginx: (config) => ["-c", config],
  haproxy: (config) => ["-db", "-f", config],
};

/** Where a program is, or nothing where it is not installed. Debian keeps servers out of a user's PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Starts a proxy in front of storage servers. @param dir a folder for its files @throws Error when it does not come up */
export async function startProxy(
  name: ProxyName,
  serverAddresses: readonly string[],
  dir: string,
): Promise<RunningPeer> {
  const program = findProgram(name);
  if (program === undefined) throw new Error(`${name} is not installed`);
  mkdirSync(dir, { recursive: true });
  const listen = await freeAddress();
  const config = join(dir, templates[name]);
  const template = readFileSync(fileURLToPath(new URL(`../../peers/${templates[name]}`, import.meta.url)), "utf8");
  const servers = serverAddresses.map((address, index) =>
    name === "nginx" ? `    server ${address};` : `  server storage-${index + 1} ${address} proto h2`,
  );
  const values = { listen, dir, servers: servers.join("\n"), cores: String(cpus().length) };
  writeFileSync(config, fillIn(template, values));
  const child = new Child(name, program, commands[name](config));
  await child.listens(listen);
  return { address: listen, stop: () => child.stop() };
}

/** Puts values in the places of a template. @throws Error for a place without a value */
export function fillIn(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`the template has {{${key}}}, for which there is no value`);
    return value;
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
