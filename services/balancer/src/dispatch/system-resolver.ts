import { lookup } from "node:dns/promises";
import type { Resolver } from "../ports/resolver.js";

/** Resolves names as every program of this machine does: by its hosts file and its name servers. */
export const systemResolver: Resolver = {
  async resolve(host) {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => address);
  },
};
