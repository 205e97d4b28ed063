import assert from "node:assert/strict";
import { GetStatusResponse } from "@bilancia/proto/gen/admin";
import { startFakeAdmin } from "../testing/fake-admin.js";
import { FakeDeadLetters } from "../testing/fake-dead-letters.js";
import { plainScreen } from "../testing/plain-screen.js";
import { discardDeadLetters } from "./dead-letters.js";

describe("discarding dead letters on a terminal", () => {
  const fake = new FakeDeadLetters();
  let admin: Awaited<ReturnType<typeof startFakeAdmin>>;
  before(async () => {
    admin = await startFakeAdmin([], GetStatusResponse.fromPartial({}), fake);
  });
  after(() => admin.stop());
  beforeEach(() => {
    fake.reset();
    fake.add(3n, "three.bin", Buffer.from("3"));
  });

  async function discard(answer: string | undefined) {
    const screen = plainScreen();
    const questions: string[] = [];
    const prompter = {
      ask: async (question: string) => {
        questions.push(question);
        return answer;
      },
      close: () => {},
    };
    const context = {
      screen,
      balancer: "",
      admin: admin.address,
      tls: undefined,
      connectTimeoutMs: 5_000,
      retryForMs: 0,
      json: false,
    };
    const code = await discardDeadLetters({ kind: "some", requestNumbers: [3n] }, prompter, context);
    return { code, questions, screen };
  }

  for (const answer of ["y", "YES"]) {
    it(`does so after ${answer}`, async () => {
      const { code, questions, screen } = await discard(answer);
      assert.equal(code, 0);
      assert.deepEqual(questions, ["Forget the bytes of 1 dead letter for good? [y/N]"]);
      assert.deepEqual(screen.printed, ["discarded 3"]);
      assert.deepEqual(fake.done, ["discard 3"]);
    });
  }

  for (const answer of ["", "n", "yess", undefined]) {
    it(`does not after ${answer}`, async () => {
      const { code, screen } = await discard(answer);
      assert.equal(code, 1);
      assert.deepEqual(screen.remarks, ["nothing was discarded"]);
      assert.deepEqual(fake.done, []);
    });
  }
});
