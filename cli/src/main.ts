import { describeError } from "@bilancia/proto/system-error";
import { CommanderError } from "commander";
import { exitCode } from "./commands/command-context.js";
import { reportError } from "./commands/command-error.js";
import { processScreen } from "./output/screen.js";
import { createProgram } from "./program.js";

/** 128 + SIGPIPE, as other tools end when nobody reads their output any more. */
const brokenPipe = 141;

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(brokenPipe);
    if (stream !== process.stderr) process.stderr.write(`error: cannot write the output: ${describeError(error)}\n`);
    process.exit(exitCode.failed);
  });
}

const screen = processScreen(process.stdout, process.stderr, process.env);
const exit = (code: number) => {
  process.exitCode = code;
};
try {
  await createProgram({ stdin: process.stdin, screen, exit }).parseAsync();
} catch (error) {
  // Commander has told its errors already, and ends this way after --help and --version too.
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? exitCode.ok : exitCode.usage);
  else exit(reportError(error, screen));
}
// Nothing more is wanted from the input, which would keep the process alive.
process.stdin.unref?.();
