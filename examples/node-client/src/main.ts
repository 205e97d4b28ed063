import { basename } from "node:path";
import { BilanciaClient } from "@bilancia/cli/client";
import { fileSource } from "@bilancia/cli/client/file-source";

const [address, ...paths] = process.argv.slice(2);
if (address === undefined || paths.length === 0) {
  process.stderr.write("usage: node examples/node-client/dist/main.js HOST:PORT FILE...\n");
  process.exit(2);
}
const client = new BilanciaClient({ address });
// Made one after another, as there is room for them.
async function* sources() {
  for (const path of paths)
    yield await fileSource(path, { name: basename(path), kind: "binary", contentType: "application/octet-stream" });
}
try {
  // When the connection is lost, what has no answer yet is sent again under the same ids.
  for await (const result of client.upload(sources())) {
    if (result.state === "stored") process.stdout.write(`${result.name} is on ${result.receipt.server}\n`);
    else {
      const why = result.state === "rejected" ? result.rejection.message : result.state === "failed" && result.message;
      process.stderr.write(`${result.name} is not stored: ${why}\n`);
      process.exitCode = 1;
    }
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  client.close();
}
