import assert from "node:assert/strict";
import fc from "fast-check";
import { type AuditFacts, auditKinds, chainStart, parseEntry, sealEntry } from "./audit-chain.js";
import { type AuditFinding, AuditVerifier } from "./audit-verifier.js";

const facts: fc.Arbitrary<AuditFacts> = fc.record(
  {
    timeMs: fc.nat(),
    kind: fc.constantFrom(...auditKinds.filter((kind) => kind !== "begun-anew")),
    requestNumber: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String),
    uploadId: fc.uuid(),
    name: fc.string({ unit: "grapheme" }),
    client: fc.string(),
    server: fc.string({ unit: "binary" }),
    attempt: fc.nat(),
    sizeBytes: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    sha256: fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), maxLength: 64 }),
    message: fc.option(fc.string(), { nil: undefined }),
  },
  { requiredKeys: ["timeMs", "kind", "requestNumber", "name"] },
);

function chain(all: readonly AuditFacts[]): Buffer[] {
  let head = chainStart;
  return all.map((one) => {
    const sealed = sealEntry(one, head);
    head = sealed.head;
    return Buffer.from(sealed.line);
  });
}

function verify(lines: readonly Buffer[]): AuditFinding[] {
  const verifier = new AuditVerifier();
  return lines.flatMap((line) => verifier.check(line) ?? []);
}

const kinds = (findings: readonly AuditFinding[]) => findings.map(({ line, kind }) => `${line} ${kind}`);
const chains = fc.array(facts, { minLength: 2, maxLength: 12 }).map(chain);
const example = (length: number) =>
  chain(Array.from({ length }, (_, index) => ({ timeMs: index, kind: "received", requestNumber: String(index) })));

describe("the chain of the audit", () => {
  it("reads back what it seals, and finds nothing wrong with it", () => {
    fc.assert(
      fc.property(fc.array(facts, { maxLength: 12 }), (all) => {
        const lines = chain(all);
        assert.deepEqual(verify(lines), []);
        lines.forEach((line, index) => {
          const parsed = parseEntry(line);
          assert.equal(parsed.kind, "entry");
          assert.ok(parsed.kind === "entry");
          const { seq, prev, hash, ...written } = parsed.entry;
          assert.equal(seq, index + 1);
          assert.equal(hash.length, prev.length);
          assert.deepEqual(written, JSON.parse(JSON.stringify(all[index])));
        });
      }),
    );
  });

  it("finds any byte that was changed, in its line", () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (lines, which, where, flip) => {
        const index = which % lines.length;
        const changed = lines.map((line) => Buffer.from(line));
        const line = changed[index] ?? Buffer.alloc(1);
        line[where % line.length] = (line[where % line.length] ?? 0) ^ flip;
        assert.equal(verify(changed)[0]?.line, index + 1);
      }),
    );
  });

  it("finds any entry that was removed, except from the end", () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.nat(), (lines, from, many) => {
        const index = from % (lines.length - 1);
        const count = 1 + (many % (lines.length - 1 - index));
        const left = lines.toSpliced(index, count);
        assert.deepEqual(kinds(verify(left)), [`${index + 1} missing`]);
      }),
    );
  });

  it("finds any two entries that changed places", () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.nat(), (lines, first, second) => {
        const a = first % lines.length;
        const b = second % lines.length;
        fc.pre(a !== b);
        const swapped = [...lines];
        [swapped[a], swapped[b]] = [lines[b] ?? Buffer.alloc(0), lines[a] ?? Buffer.alloc(0)];
        assert.equal(verify(swapped)[0]?.line, Math.min(a, b) + 1);
      }),
    );
  });

  it("finds an entry that was altered and sealed anew, at the one behind it", () => {
    const lines = example(4);
    const before = parseEntry(lines[0] ?? Buffer.alloc(0));
    assert.ok(before.kind === "entry");
    lines[1] = Buffer.from(sealEntry({ timeMs: 9, kind: "stored" }, { seq: 1, hash: before.entry.hash }).line);
    assert.deepEqual(kinds(verify(lines)), ["3 unlinked"]);
  });

  it("names one fault once: what is good behind it is not complained about", () => {
    const [a, b, c, d, e] = example(5) as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const noise = Buffer.from("noise");
    assert.deepEqual(kinds(verify([a, noise, b, c])), ["2 unreadable"]);
    assert.deepEqual(kinds(verify([a, noise, c, d])), ["2 unreadable"]);
    assert.deepEqual(kinds(verify([a, noise, d, e])), ["2 unreadable", "3 missing"]);
    assert.deepEqual(kinds(verify([a, c, b, d])), ["2 missing", "3 out-of-order"]);
    assert.deepEqual(kinds(verify([a, b, b, c])), ["3 out-of-order"]);
    const altered = Buffer.from(b.toString().replace('"requestNumber":"1"', '"requestNumber":"7"'));
    assert.deepEqual(kinds(verify([a, altered, c, d])), ["2 changed"]);
    assert.deepEqual(kinds(verify([b, c])), ["1 missing"]);
  });

  it("tells that a file without any entry has been put aside, though the chain holds since", () => {
    const lines = chain([
      { timeMs: 1, kind: "begun-anew" },
      { timeMs: 2, kind: "received" },
    ]);
    assert.deepEqual(kinds(verify(lines)), ["1 missing"]);
  });

  it("tells how far it came, and that the file ends inside an entry", () => {
    const [a, b] = example(2) as [Buffer, Buffer];
    const verifier = new AuditVerifier();
    assert.equal(verifier.check(a), undefined);
    assert.equal(verifier.check(b.subarray(0, 20), true)?.kind, "torn");
    const parsed = parseEntry(a);
    assert.ok(parsed.kind === "entry");
    assert.deepEqual(verifier.head, { seq: 1, hash: parsed.entry.hash });
    assert.equal(verifier.entries, 1);
  });
});
