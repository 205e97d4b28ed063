/** Unix time in milliseconds, and chance: handed in, so that decisions can be tested. */
export interface Clock {
  nowMs(): number;
  /** From 0 up to, not including, 1. */
  random(): number;
}
