import type { GoalResult } from "./results.js";

/** A figure for people: three digits that matter, thousands apart. */
export function figure(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/** A goal and how it came out, in words. */
export function goalText(goal: GoalResult, unit: string): string {
  const times = goal.against ? "x" : ` ${unit}`;
  const bound = goal.atLeast === undefined ? `at most ${goal.atMost}${times}` : `at least ${goal.atLeast}${times}`;
  const other = goal.against ? ` ${goal.against.join(" or ")}` : "";
  return `${goal.met ? "met" : "missed"}: ${figure(goal.reached)}${times}${other} (${bound})`;
}
