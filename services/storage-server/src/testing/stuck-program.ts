import { pino } from "pino";
import { startStorageServer } from "../app.js";
import { resolveConfig } from "../config.js";
import { nodeDisk } from "../disk.js";

/** A storage server whose flushes of files never end, so that its journal is never trimmed. Its only argument is its folder. */
const options = { listen: "127.0.0.1:0", dir: process.argv[2] ?? "", name: "storage-1" };
let flushesCount = 0;
await startStorageServer(resolveConfig(options), pino(), {
  ...nodeDisk,
  // A start flushes twice: before it makes anything, and after it has looked at everything.
  syncFiles: (...files) => (++flushesCount <= 2 ? nodeDisk.syncFiles(...files) : new Promise(() => {})),
});
