import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import { OverloadBit } from "./overload-bit.js";

describe("a server's overload bit", () => {
  let changes: string[];
  let bit: OverloadBit<number>;
  beforeEach(() => {
    changes = [];
    bit = new OverloadBit((overloaded, why) => changes.push(`${overloaded} ${why}`));
  });
  afterEach(() => bit.stop());

  it("is in force at once where it is another one, and is no news where it is not", () => {
    bit.say(false, 0);
    assert.deepEqual(changes, []);
    bit.say(true, 1);
    bit.say(true, 2);
    assert.deepEqual(changes, ["true 1"]);
  });

  it("changes once, to what was said last, however often another one is said at a time", async () => {
    for (let why = 1; why <= 10_001; why++) bit.say(why % 2 === 1, why);
    bit.say(false, 0);
    assert.deepEqual(changes, ["true 1"]);
    await eventually("the last one is in force", () => changes.length > 1);
    assert.deepEqual(changes, ["true 1", "false 0"]);
  });

  it("does not change where it is what it was when its time comes, and then at once again", async () => {
    bit.say(true, 1);
    bit.say(false, 2);
    bit.say(true, 3);
    await delay(300);
    assert.deepEqual(changes, ["true 1"]);
    bit.say(false, 4);
    assert.deepEqual(changes, ["true 1", "false 4"]);
  });

  it("changes no more once nobody asks", async () => {
    bit.say(true, 1);
    bit.say(false, 2);
    bit.stop();
    bit.say(false, 3);
    await delay(200);
    assert.deepEqual(changes, ["true 1"]);
  });
});
