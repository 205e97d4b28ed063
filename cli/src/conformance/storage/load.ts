import { Capability } from "@bilancia/proto/gen/storage";
import { callUnary } from "@bilancia/proto/unary";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import { statusOf } from "../probe.js";
import { expectEqual, expectThat, NotImplemented, Violation } from "../violation.js";
import type { SaveFile } from "./save-file.js";
import type { SaveSession } from "./save-session.js";
import { expectReceipt, type StorageProbe } from "./storage-probe.js";

/** The deadline that the balancer gives `Load`, in milliseconds. */
const loadDeadlineMs = 1_000;
/** How often it is tried: one slow answer on a busy machine is no verdict. */
const triesCount = 5;

/** The overload bit, and `busy`. */
export const loadChecks: readonly Check<StorageProbe>[] = [
  {
    name: "load.in-time",
    level: "required",
    rule: "Load is asked every second with a deadline of one second; the answer does not wait for files in progress.",
    async run(probe) {
      const held = await holdFiles(probe, 4, 300_000);
      for (let tries = 1; ; tries++) {
        const load = callUnary<object, unknown>(probe.storage.load.bind(probe.storage), {}, loadDeadlineMs);
        const problem = await load.then(
          () => undefined,
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        );
        if (problem === undefined) break;
        if (tries === triesCount)
          throw new Violation(`Load failed ${triesCount} times, with files in progress: ${problem}`);
      }
      await finishAll(held);
    },
  },
  {
    name: "load.idle",
    level: "required",
    rule: "A server that has nothing to do is not overloaded; causes is empty when it is not.",
    run: (probe) => expectNotOverloaded(probe),
  },
  {
    name: "load.bit-agrees",
    level: "required",
    rule: "SaveResponse.overloaded is the same bit as LoadResponse.overloaded.",
    async run(probe) {
      for (let tries = 1; ; tries++) {
        const before = (await probe.load()).overloaded;
        const session = probe.open();
        const file = probe.file(100);
        await session.send(file.whole());
        await session.final(file.requestNumber);
        await session.close();
        const after = (await probe.load()).overloaded;
        // Between two different answers the bit has changed, and either is right.
        if (before === after && session.overloadBits.every((bit) => bit === before)) return;
        if (tries === triesCount)
          throw new Violation(
            `Load says overloaded: ${before}, then ${after}; in between SaveResponse says ${session.overloadBits.join(", ")}`,
          );
      }
    },
  },
  {
    name: "load.limit",
    level: "required",
    rule: "Over its limit a server sets the overload bit, in Load and in SaveResponse; files already on their way are still taken, and the bit is cleared afterwards.",
    needs: "overload-files",
    async run(probe) {
      await expectNotOverloaded(probe);
      const held = await holdFiles(probe, probe.options.overloadFiles ?? 0, 100_000);
      await probe.eventually(
        async () => (await probe.load()).overloaded,
        `the overload bit is set with ${held.length} files in progress`,
      );
      // Saved or busy: the answer to one more file carries the bit.
      const session = probe.open();
      const file = probe.file(100);
      await session.send(file.whole());
      await session.final(file.requestNumber);
      await session.close();
      expectThat(
        session.overloadBits.includes(true),
        "SaveResponse does not say that the server is overloaded, but Load does",
      );
      await finishAll(held);
      await expectNotOverloaded(probe);
    },
  },
  {
    name: "busy.limit",
    level: "required",
    rule: "A server that cannot take a file now answers busy, which is final and no failure; later the same file is taken.",
    needs: "busy-files",
    async run(probe) {
      const held = await holdFiles(probe, probe.options.busyFiles ?? 0, 100_000);
      const isPutOff = ({ file, session }: HeldFile) => session.answered(file.requestNumber)?.$case === "busy";
      let putOff: HeldFile | undefined;
      await probe.eventually(
        async () => {
          // A new one each time: one that was stored is known, and may be answered with that.
          const more = { file: probe.file(100), session: probe.open() };
          await more.session.send(more.file.whole());
          await more.session.final(more.file.requestNumber);
          await more.session.close();
          // It may have come before one of the held ones, which had to wait instead.
          putOff = [more, ...held].find(isPutOff);
          return putOff !== undefined;
        },
        `one of ${held.length + 1} files in progress is answered with busy`,
      );
      await finishAll(held.filter((one) => !isPutOff(one)));
      for (const one of held.filter(isPutOff)) await one.session.close();
      if (putOff) await probe.store(putOff.file.with({ attempt: 2 }));
    },
  },
  {
    name: "load.capabilities",
    level: "optional",
    rule: "capabilities lists the optional rpcs that the server implements, and no others.",
    async run(probe) {
      const { capabilities } = await probe.load();
      const { storage } = probe;
      const { origin } = probe;
      const nothing = { origin, requestNumber: 1n };
      const discard = { ...nothing, uploadId: "00000000-0000-4000-8000-000000000000", term: 1n, attempt: 1 };
      const watch = storage.watchLoad({}, { deadline: Date.now() + probe.options.timeoutMs });
      const watched = new Promise((resolve, reject) => watch.once("data", resolve).once("error", reject));
      const { timeoutMs } = probe.options;
      const rpcs: readonly [Capability, Promise<unknown>][] = [
        [Capability.CAPABILITY_STAT, callUnary(storage.stat.bind(storage), nothing, timeoutMs)],
        [Capability.CAPABILITY_DISCARD, callUnary(storage.discard.bind(storage), discard, timeoutMs)],
        [Capability.CAPABILITY_WATCH_LOAD, watched],
      ];
      const answers = await Promise.allSettled(rpcs.map(([, call]) => call));
      watch.on("error", () => {}).cancel();
      for (const [at, [capability]] of rpcs.entries()) {
        const answer = answers[at];
        const isThere = answer?.status === "fulfilled" || statusOf(answer?.reason) !== status.UNIMPLEMENTED;
        expectEqual(capabilities.includes(capability), isThere, `whether ${Capability[capability]} is listed`);
      }
    },
  },
  {
    name: "load.watch",
    level: "optional",
    rule: "WatchLoad pushes a Load answer at once, and again on every change of the overload bit, until the caller cancels.",
    async run(probe) {
      const watch = probe.storage.watchLoad({});
      try {
        const first = await new Promise<boolean | undefined>((resolve, reject) => {
          const late = setTimeout(
            () => reject(new Violation("WatchLoad pushed nothing at once")),
            probe.options.timeoutMs,
          );
          watch.once("data", ({ load }: { load?: { overloaded: boolean } }) => resolve(load?.overloaded));
          watch.once("error", (error) =>
            reject(statusOf(error) === status.UNIMPLEMENTED ? new NotImplemented("Storage/WatchLoad") : error),
          );
          watch.once("close", () => clearTimeout(late));
        });
        expectThat(first !== undefined, "the first message of WatchLoad has no load");
      } finally {
        watch.on("error", () => {}).cancel();
      }
    },
  },
];

interface HeldFile {
  readonly file: SaveFile;
  readonly session: SaveSession;
}

/** Begins files, each on a stream of its own, and leaves out their last part. */
async function holdFiles(probe: StorageProbe, count: number, sizeBytes: number): Promise<HeldFile[]> {
  const held = Array.from({ length: count }, () => ({ file: probe.file(sizeBytes), session: probe.open() }));
  await Promise.all(
    held.map(async ({ file, session }) => {
      for (const part of file.parts().slice(0, -1)) await session.send(part);
    }),
  );
  return held;
}

/** Sends the last parts of the files; all must be saved. */
async function finishAll(held: readonly HeldFile[]): Promise<void> {
  await Promise.all(
    held.map(async ({ file, session }) => {
      for (const part of file.parts().slice(-1)) await session.send(part);
      expectReceipt(await session.saved(file.requestNumber), file, false);
      await session.close();
    }),
  );
}

async function expectNotOverloaded(probe: StorageProbe): Promise<void> {
  await probe.eventually(
    async () => !(await probe.load()).overloaded,
    "Load says that the idle server is not overloaded",
  );
  const { overloaded, causes } = await probe.load();
  expectThat(overloaded || causes.length === 0, `causes has ${causes.length} entries though overloaded is false`);
}
