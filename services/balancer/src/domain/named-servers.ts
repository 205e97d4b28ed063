import type { ServerEntry } from "./server-entry.js";

/** What stands behind a name in the configuration: a server at each address that the name resolves to. */
export interface ServerName {
  /** What is to be resolved. */
  readonly host: string;
  readonly port: number;
}

/** Addresses by host name, each an IPv4 or IPv6 address without a port. */
export type ResolvedNames = ReadonlyMap<string, readonly string[]>;

/** The longest name that an entry with a `dns:///` address may have, so that its servers' names are not too long. */
export const maxNamedLength = 24;

/** Reads an address such as `dns:///storage.internal:50061`; `undefined` for another kind of address. */
export function serverName(address: string): ServerName | undefined {
  const [, host = "", digits] =
    /^dns:\/\/\/([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?):([0-9]{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  return digits !== undefined && port <= 65_535 ? { host, port } : undefined;
}

/** The host names that have to be resolved. */
export function hostsOf(entries: readonly ServerEntry[]): ReadonlySet<string> {
  return new Set(entries.flatMap(({ address }) => serverName(address)?.host ?? []));
}

/**
 * The servers that entries stand for: each by itself, or one for each address of its name, called `<name>-<address>`, with the weight of the entry. Of several with
 * the same name or address the first counts, and those that are written out before those that are resolved.
 */
export function resolvedEntries(entries: readonly ServerEntry[], names: ResolvedNames): readonly ServerEntry[] {
  const written = entries.filter(({ address }) => !serverName(address));
  const taken = new Set(written.flatMap(({ name, address }) => [`name ${name}`, `address ${address}`]));
  return entries.flatMap((entry) => {
    const host = serverName(entry.address)?.host;
    if (host === undefined) return [entry];
    return (names.get(host) ?? []).flatMap((ip) => {
      const server = serverAt(entry, ip);
      const keys = [`name ${server.name}`, `address ${server.address}`];
      if (keys.some((key) => taken.has(key))) return [];
      for (const key of keys) taken.add(key);
      return [server];
    });
  });
}

/** Whether a server would stand for one of the entries if its address were there: it may be again. */
export function mayResolveTo(entries: readonly ServerEntry[], server: ServerEntry): boolean {
  const ip = server.address.replace(/:[0-9]+$/, "").replace(/^\[(.*)\]$/, "$1");
  return entries.some((entry) => {
    if (!serverName(entry.address)) return false;
    const { name, address, weight } = serverAt(entry, ip);
    return name === server.name && address === server.address && weight === server.weight;
  });
}

function serverAt({ name, address, weight }: ServerEntry, ip: string): ServerEntry {
  const port = serverName(address)?.port;
  const host = ip.includes(":") ? `[${ip}]` : ip;
  return { name: `${name}-${ip.replaceAll(":", "-")}`, address: `${host}:${port}`, weight };
}
