import { pino } from "pino";
import { startStorageServer } from "../app.js";
import { resolveConfig } from "../config.js";
import { nodeDisk } from "../disk.js";

/** A storage server whose flushes of files never end, so that its journal is never trimmed. Its only argument is its folder. */
const options = { listen: "127.0.0.1:0", dir: process.argv[2] ?? "", name: "storage-1" };
await startStorageServer(resolveConfig(options), pino(), {
  ...nodeDisk,
  syncFiles: () => new Promise(() => {}),
});
