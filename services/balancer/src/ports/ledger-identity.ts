/** Which ledger numbers the uploads, and how often it has been started. */
export interface LedgerIdentity {
  readonly origin: string;
  readonly term: number;
}
