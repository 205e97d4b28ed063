import assert from "node:assert/strict";
import { type Candidate, type Choice, ChoiceReason, ServerState } from "@bilancia/proto/gen/admin";
import { plainScreen } from "../testing/plain-screen.js";
import { choiceSentences, choiceTable } from "./choice-report.js";
import { displayWidth } from "./table.js";

const at = { seconds: 1_800_000_000n, nanos: 0 };
const candidate = (server: string, changes: Partial<Candidate> = {}): Candidate => ({
  server,
  state: ServerState.SERVER_STATE_AVAILABLE,
  stateSince: { seconds: 1_799_999_990n, nanos: 0 },
  stateReason: "answers SERVING",
  weight: 2,
  effectiveWeight: 2,
  inFlightFiles: 3,
  inFlightBytes: 4096n,
  maxInFlightFiles: 1024,
  refused: false,
  compared: true,
  before: 1,
  after: 3,
  ...changes,
});
const choice = (candidates: Candidate[], changes: Partial<Choice> = {}): Choice => ({
  attempt: 1,
  at,
  waitedMs: 12n,
  server: "a",
  reason: ChoiceReason.CHOICE_REASON_POLICY,
  policy: "weighted_round_robin",
  sizeBytes: 2048n,
  candidates,
  ...changes,
});
const out = { compared: false, before: undefined, after: undefined };

describe("what is told of a choice", () => {
  const table: [string, Choice, string][] = [
    [
      "whose turn it was, and what spoke against the others",
      choice([
        candidate("a", { after: -3 }),
        candidate("b"),
        candidate("c", { ...out, state: ServerState.SERVER_STATE_UNHEALTHY, stateReason: "connection lost" }),
        candidate("d", { ...out, state: ServerState.SERVER_STATE_FULL, stateSince: undefined, stateReason: "8 files" }),
        candidate("e", { ...out, refused: true }),
      ]),
      "Attempt 1: the file, 2.0 KiB, went to a after 12 ms, whose turn it was by files: among 2 servers it stood highest by its weight, the next was b at 3. " +
        "c was left out: unhealthy for 10.0 s (connection lost). d was left out: full (8 files). e was left out: it had refused this file.",
    ],
    [
      "that there was no other",
      choice([candidate("a", { effectiveWeight: 0.2 })], { sizeBytes: undefined }),
      "Attempt 1: the file went to a after 12 ms, the only one that could be given it. a counted with 0.2 of its weight 2.",
    ],
    [
      "whom the least load was compared with",
      choice(
        [candidate("a", { before: 1024 }), candidate("b", { before: 2048 }), candidate("c", { compared: false })],
        {
          policy: "least_load",
        },
      ),
      "Attempt 1: the file, 2.0 KiB, went to a after 12 ms, of the two that were drawn the one with less on its way for its weight: 1.0 KiB per unit of weight, b 2.0 KiB. c was not asked.",
    ],
    [
      "that a server had claimed it",
      choice([candidate("a", out)], { reason: ChoiceReason.CHOICE_REASON_CLAIMED, attempt: 2 }),
      "Attempt 2: the file, 2.0 KiB, went to a after 12 ms, because that server had claimed it.",
    ],
    [
      "that it may be there already",
      choice([candidate("a", out)], { reason: ChoiceReason.CHOICE_REASON_MAY_HOLD }),
      "Attempt 1: the file, 2.0 KiB, went to a after 12 ms, because its answer to an earlier attempt was lost: it may hold the file already, and is asked before any other.",
    ],
    [
      "that none was available",
      choice([candidate("a", { ...out, state: ServerState.SERVER_STATE_OVERLOADED })], {
        reason: ChoiceReason.CHOICE_REASON_SPILLED,
      }),
      "Attempt 1: the file, 2.0 KiB, went to a after 12 ms, although it was overloaded: no server was available, and it was the least bad.",
    ],
  ];
  for (const [title, told, expected] of table) it(`is ${title}`, () => assert.equal(choiceSentences(told), expected));

  it("is a table of all servers, too", () => {
    const [head, ...rows] = choiceTable(
      choice([candidate("a", { after: -3 }), candidate("b", { refused: true })]),
      plainScreen(),
    ).split("\n");
    assert.match(head ?? "", /^server +weight +state +for +in flight +bytes +before +after +why$/);
    assert.match(rows[0] ?? "", /^a \* +2 +available +10\.0 s +3\/1,024 +4\.0 KiB +1 +-3 +answers SERVING$/);
    assert.match(rows[1] ?? "", /^b +2 +available, refused it /);
  });

  it("is a table that fits a narrow terminal", () => {
    const told = choice([candidate("storage-1", { before: -1234.56 }), candidate("storage-2", { refused: true })]);
    for (const columns of [100, 80, 60, 40]) {
      const lines = choiceTable(told, plainScreen(columns)).split("\n");
      assert.ok(Math.max(...lines.map(displayWidth)) <= columns, lines.join("\n"));
      assert.match(lines[0] ?? "", /^server .*state/);
    }
  });
});
