import { describeError } from "@bilancia/proto/system-error";
import { UnreachableError } from "../client/errors.js";
import { printable } from "../output/human.js";
import type { Screen } from "../output/screen.js";
import { exitCode, UsageError } from "./command-context.js";

/** Tells the user what went wrong, in one line, and returns the exit code that stands for it. */
export function reportError(error: unknown, screen: Screen): number {
  screen.remark(`${screen.paintSide("red", "error:")} ${printable(describeError(error))}`);
  if (error instanceof UsageError) return exitCode.usage;
  if (error instanceof UnreachableError) return exitCode.unreachable;
  return exitCode.failed;
}
