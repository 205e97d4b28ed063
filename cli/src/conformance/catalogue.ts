import { brokenStreamChecks } from "./broken-streams.js";
import type { Check } from "./check.js";
import { fileChecks } from "./files.js";
import { headerChecks } from "./headers.js";
import { healthChecks } from "./health.js";
import { heldFileChecks } from "./held-files.js";
import { identityChecks } from "./identity.js";
import { integrityChecks } from "./integrity.js";
import { loadChecks } from "./load.js";
import { restartChecks } from "./restart.js";
import { streamChecks } from "./streams.js";

/** All checks of a storage server, in the order in which they are tried. */
export const storageChecks: readonly Check[] = [
  ...healthChecks,
  ...fileChecks,
  ...streamChecks,
  ...identityChecks,
  ...integrityChecks,
  ...headerChecks,
  ...brokenStreamChecks,
  ...heldFileChecks,
  ...loadChecks,
  ...restartChecks,
];
