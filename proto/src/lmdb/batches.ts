/** Writes that become durable together. */
const batchWrites = 500;

/** Has many writes made, some at a time. @param writes each is begun when it is asked for */
export async function inBatches(writes: Iterable<Promise<unknown>>): Promise<void> {
  let batch: Promise<unknown>[] = [];
  for (const write of writes) {
    batch.push(write);
    if (batch.length < batchWrites) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
}
