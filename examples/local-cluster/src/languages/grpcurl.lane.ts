import assert from "node:assert/strict";
import { describeCurlTool } from "./curl-suite.js";
import { callOf, grpcurlCommand, readmeCommands } from "./readme-calls.js";

const commands = readmeCommands().filter(({ command }) => command.startsWith("grpcurl "));

describeCurlTool({
  name: "grpcurl",
  calls: commands
    .filter(({ output }) => output === undefined)
    .map(({ command }) => ({ command, call: callOf(command) })),
  commandOf: grpcurlCommand,
  more: (run) => {
    for (const { command, output } of commands) {
      if (output === undefined) continue;
      it(`${command} is answered as the README shows`, async () => {
        const { stdout, stderr } = await run(command);
        assert.equal(`${stdout}${stderr}`.trim(), output);
      });
    }
  },
});
