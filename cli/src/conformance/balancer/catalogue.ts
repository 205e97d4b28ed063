import type { Kit } from "../check.js";
import { healthChecks } from "../health.js";
import { acknowledgementChecks } from "./acknowledgements.js";
import { BalancerProbe } from "./balancer-probe.js";
import { explanationChecks } from "./explanations.js";
import { fileChecks } from "./files.js";
import { headerChecks } from "./headers.js";
import { identityChecks } from "./identity.js";
import { integrityChecks } from "./integrity.js";
import { limitChecks } from "./limits.js";
import { protocolChecks } from "./protocol.js";
import { queryChecks } from "./queries.js";
import { reflectionChecks } from "./reflection.js";
import { restartChecks } from "./restart.js";
import { resumeChecks } from "./resume.js";
import { streamChecks } from "./streams.js";

/** What a balancer has to do for its clients. */
export const balancerKit: Kit<BalancerProbe> = {
  subject: "the balancer",
  checks: [
    ...healthChecks("optional"),
    ...reflectionChecks,
    ...fileChecks,
    ...streamChecks,
    ...acknowledgementChecks,
    ...identityChecks,
    ...resumeChecks,
    ...integrityChecks,
    ...protocolChecks,
    ...headerChecks,
    ...explanationChecks,
    ...queryChecks,
    ...limitChecks,
    ...restartChecks,
  ],
  open: (options) => new BalancerProbe(options),
};
