/** Finds the addresses of a name. */
export interface Resolver {
  /** IPv4 and IPv6 addresses, in any order. Rejects when the name cannot be resolved. */
  resolve(host: string): Promise<readonly string[]>;
}
