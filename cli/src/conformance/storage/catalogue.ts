import type { Kit } from "../check.js";
import { healthChecks } from "../health.js";
import { brokenStreamChecks } from "./broken-streams.js";
import { fileChecks } from "./files.js";
import { headerChecks } from "./headers.js";
import { heldFileChecks } from "./held-files.js";
import { identityChecks } from "./identity.js";
import { integrityChecks } from "./integrity.js";
import { loadChecks } from "./load.js";
import { restartChecks } from "./restart.js";
import { StorageProbe } from "./storage-probe.js";
import { streamChecks } from "./streams.js";

/** What a storage server has to do. */
export const storageKit: Kit<StorageProbe> = {
  subject: "the storage server",
  checks: [
    ...healthChecks("required"),
    ...fileChecks,
    ...streamChecks,
    ...identityChecks,
    ...integrityChecks,
    ...headerChecks,
    ...brokenStreamChecks,
    ...heldFileChecks,
    ...loadChecks,
    ...restartChecks,
  ],
  open: (options) => new StorageProbe(options),
};
