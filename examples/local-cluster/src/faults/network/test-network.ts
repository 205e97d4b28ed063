import { execFileSync } from "node:child_process";

/** Which way nothing gets through any more. */
export type Cut = "both ways" | "to the server" | "from the server";

/** The addresses of RFC 2544, which no network uses. */
const network = "198.18.0.0/16";
const here = "198.18.0.1";
const hereAtRouter = "198.18.0.2";

/**
 * A network in which servers are hosts of their own, each behind a router that can be told to drop what it should pass on, silently, as a broken
 * switch does. It is made of network namespaces, within the one that the caller is in, which must be the test's own.
 *
 * ```
 * caller 198.18.0.1 ── router ─┬─ storage-1 198.18.1.2
 *                              ├─ storage-2 198.18.2.2 ...
 * ```
 */
export class TestNetwork {
  readonly #addresses: ReadonlyMap<string, string>;

  /** @throws Error where it is not permitted */
  constructor(servers: readonly string[]) {
    // Where the names of namespaces stand is the machine's; a place of our own leaves nothing behind.
    run("mount --make-rprivate /");
    run("mount -t tmpfs none /run");
    run("ip link set lo up");
    run("ip netns add router");
    run("ip link add v0 type veth peer name v1 netns router");
    run(`ip addr add ${here}/30 dev v0`);
    run("ip link set v0 up");
    run(`ip -n router addr add ${hereAtRouter}/30 dev v1`);
    run("ip -n router link set v1 up");
    run(`ip route add ${network} via ${hereAtRouter}`);
    const forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    execFileSync("ip", ["netns", "exec", "router", "sh", "-c", forward], { stdio: "inherit" });
    this.#addresses = new Map(servers.map((name, index) => [name, `198.18.${index + 1}.2`]));
    for (const [name, address] of this.#addresses) {
      const router = address.replace(/2$/, "1");
      run(`ip netns add ${name}`);
      run(`ip -n router link add ${name} type veth peer name v0 netns ${name}`);
      run(`ip -n router addr add ${router}/30 dev ${name}`);
      run(`ip -n router link set ${name} up`);
      run(`ip -n ${name} link set lo up`);
      run(`ip -n ${name} addr add ${address}/30 dev v0`);
      run(`ip -n ${name} link set v0 up`);
      run(`ip -n ${name} route add default via ${router}`);
    }
  }

  /** The address of a server. */
  address(server: string): string {
    return this.#addresses.get(server) ?? "";
  }

  /** What starts a program on a server's host. */
  launcher(server: string): readonly string[] {
    return ["ip", "netns", "exec", server];
  }

  cut(server: string, how: Cut): void {
    if (how !== "from the server") run(`ip -n router rule add to ${this.address(server)} blackhole`);
    if (how !== "to the server") run(`ip -n router rule add from ${this.address(server)} blackhole`);
  }

  heal(server: string, how: Cut): void {
    if (how !== "from the server") run(`ip -n router rule del to ${this.address(server)} blackhole`);
    if (how !== "to the server") run(`ip -n router rule del from ${this.address(server)} blackhole`);
  }
}

function run(command: string): void {
  const [program = "", ...args] = command.split(" ");
  execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"] });
}
