/** The configuration that is in force, and what came of reading it anew. */
export interface ConfigState {
  /** `undefined` where there is none. */
  readonly file: string | undefined;
  /** When what is in force was read. */
  readonly loadedAtMs: number;
  /** What the file changes after a restart only, for people. */
  readonly needRestart: readonly string[];
  /** Why the file cannot be used as it is now; the configuration before is in force. */
  readonly refused: { readonly atMs: number; readonly problems: readonly string[] } | undefined;
}
