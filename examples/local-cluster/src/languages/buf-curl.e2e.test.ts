import assert from "node:assert/strict";
import { describeCurlTool } from "./curl-suite.js";
import { bufCommand, callOf, readmeCommands } from "./readme-calls.js";

const commands = readmeCommands();

describeCurlTool({
  name: "buf curl",
  calls: commands
    .filter(({ command, output }) => command.startsWith("grpcurl ") && output === undefined)
    .map(({ command }) => callOf(command))
    .filter(({ request }) => !request.startsWith("describe "))
    .map((call) => ({ command: bufCommand(call), call })),
  commandOf: bufCommand,
  more: (run) => {
    for (const { command } of commands.filter(({ command }) => command.startsWith("npx "))) {
      it(command, async () => {
        const { code, stdout, stderr } = await run(command);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /bilancia\.v1\.Balancer|"serverName": "storage-1"/);
      });
    }
  },
});
