import type { Random } from "../random.js";
import { type CrashState, type CrashStates, type Fate, sectorBytes } from "./crash-state.js";
import type { DiskRecord } from "./disk-record.js";

/** States in a row that bring nothing new, after which there are taken to be no more. */
const maxInVain = 5_000;

/**
 * Up to `wanted` states of a record, all different on disk. First those that a rule gives at every moment: all is kept, all is lost, one operation alone is lost, kept or
 * torn; then by chance. Of equal states the latest one stays, before which most has been acknowledged.
 */
export function enumerateStates(record: DiskRecord, states: CrashStates, wanted: number, random: Random): CrashState[] {
  const unique = new Map<string, CrashState>();
  const add = (state: CrashState) => {
    const digest = states.digest(state);
    const known = unique.get(digest);
    if (!known || known.at < state.at) unique.set(digest, state);
    return !known;
  };
  const count = record.operations.length;
  for (let at = 0; at <= count; at++) {
    for (const state of ruledStates(record, states.pendingAt(at), at, random)) {
      add(state);
    }
  }
  const all = [...unique.values()];
  if (all.length > wanted) return sample(all, wanted, random);
  for (let inVain = 0; unique.size < wanted && inVain < maxInVain; ) {
    const at = random.between(0, count);
    if (add(randomState(record, states.pendingAt(at), at, random))) inVain = 0;
    else inVain += 1;
  }
  return [...unique.values()];
}

function* ruledStates(
  record: DiskRecord,
  pending: readonly number[],
  at: number,
  random: Random,
): Generator<CrashState> {
  yield { at, fates: new Map(), namesUpTo: new Map() };
  if (pending.length === 0) return;
  const isName = (index: number) => record.operations[index]?.kind === "entries";
  const folderOf = (index: number) => {
    const operation = record.operations[index];
    return operation?.kind === "entries" ? operation.node : -1;
  };
  const files = pending.filter((index) => !isName(index));
  const names = pending.filter(isName);
  const allNames = new Map(names.map((index) => [folderOf(index), 0] as const));
  const allDropped = new Map<number, Fate>(files.map((index) => [index, "dropped"]));
  yield { at, fates: allDropped, namesUpTo: allNames };
  yield { at, fates: allDropped, namesUpTo: new Map() };
  yield { at, fates: new Map(files.map((index) => [index, "length only"])), namesUpTo: new Map() };
  yield { at, fates: new Map(), namesUpTo: allNames };
  // The newest are new with this moment; those before have had their turn.
  const newest = pending.at(-1) as number;
  if (isName(newest)) yield { at, fates: new Map(), namesUpTo: new Map([[folderOf(newest), newest]]) };
  else {
    yield { at, fates: new Map([[newest, "dropped"]]), namesUpTo: new Map() };
    const others = new Map(allDropped);
    others.delete(newest);
    yield { at, fates: others, namesUpTo: new Map() };
    yield { at, fates: new Map([[newest, tear(record, newest, random)]]), namesUpTo: new Map() };
  }
}

function randomState(record: DiskRecord, pending: readonly number[], at: number, random: Random): CrashState {
  const fates = new Map<number, Fate>();
  const namesUpTo = new Map<number, number>();
  // Sometimes little is lost, sometimes nearly everything.
  const lossRate = random.next();
  for (const index of pending) {
    const operation = record.operations[index];
    if (random.next() >= lossRate || operation === undefined) continue;
    if (operation.kind === "entries") {
      if (!namesUpTo.has(operation.node)) namesUpTo.set(operation.node, index);
    } else {
      fates.set(index, random.pick(["dropped", "dropped", "length only", tear(record, index, random)]));
    }
  }
  return { at, fates, namesUpTo };
}

/** Some of the sectors of a write: its beginning, its end, or all but a gap. */
function tear(record: DiskRecord, index: number, random: Random): Fate {
  const operation = record.operations[index];
  if (operation?.kind !== "write") return "dropped";
  const { offset, bytes } = operation;
  const sectors = Math.ceil((offset + bytes.length) / sectorBytes) - Math.floor(offset / sectorBytes);
  if (sectors < 2) return "dropped";
  const cut = random.between(1, sectors - 1);
  return random.pick([
    { from: 0, to: cut },
    { from: cut, to: sectors },
    { from: cut, to: random.between(0, cut) },
  ]);
}

function sample<T>(all: readonly T[], count: number, random: Random): T[] {
  const left = [...all];
  return Array.from({ length: count }, () => left.splice(random.between(0, left.length - 1), 1)[0] as T);
}
