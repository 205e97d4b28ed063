/** Why a write of LMDB's has failed: of one that failed together with others, its error only refers to the cause. */
export async function causeOf(error: unknown): Promise<unknown> {
  // A promise that rejects by itself.
  const cause: unknown = await (error as { commitError?: Promise<unknown> }).commitError?.catch((reason) => reason);
  return cause ?? error;
}
