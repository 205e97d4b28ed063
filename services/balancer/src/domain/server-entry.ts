/** A storage server as the configuration or an operator names it. */
export interface ServerEntry {
  /** Unique in the pool. */
  readonly name: string;
  /** `host:port`, unique in the pool. */
  readonly address: string;
  /** 1-256 */
  readonly weight: number;
}

/** What a field of an entry must be: whether a value is that, and how to say what was expected. */
export interface FieldRule<Value> {
  readonly expected: string;
  holds(value: Value): boolean;
}

/** What the fields of an entry must be, wherever it comes from. */
export const serverRules = {
  name: {
    expected: "expected a name of letters, digits, dots, hyphens and underscores, at most 64",
    holds: (name: string) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name),
  },
  address: {
    expected: "expected host:port with a port from 0 to 65535, for example 127.0.0.1:50051",
    holds: (address: string) =>
      /^(\[[0-9a-fA-F:.]+\]|[^:\s]+):[0-9]{1,5}$/.test(address) && Number(address.split(":").at(-1)) <= 65_535,
  },
  weight: {
    expected: "expected a whole number from 1 to 256",
    holds: (weight: number) => Number.isInteger(weight) && weight >= 1 && weight <= 256,
  },
} as const satisfies Record<keyof ServerEntry, FieldRule<never>>;
