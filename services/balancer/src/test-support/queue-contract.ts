import type { QueueLimits } from "../domain/admission.js";
import { directoryContract } from "./directory-contract.js";
import { inboxContract } from "./inbox-contract.js";
import { outboxContract } from "./outbox-contract.js";
import { QueueBench, type QueueUnderTest } from "./queue-bench.js";

/** What every queue must do, whatever it is made of. */
export function queueContract(makeQueue: (limits: QueueLimits) => Promise<QueueUnderTest>): void {
  const bench = new QueueBench(makeQueue);
  beforeEach(() => bench.begin());
  afterEach(() => bench.end());
  inboxContract(bench);
  outboxContract(bench);
  directoryContract(bench);
}
