import { byteWeighted } from "./byte-weighted.js";
import { LeastLoad } from "./least-load.js";
import type { Policy, PolicyName } from "./policy.js";
import { SmoothWeightedRoundRobin } from "./smooth-wrr.js";

/**
 * Makes a policy by its name.
 *
 * @param loadOf what is on its way to a server now, in bytes
 * @param random a number from 0 up to, not including, 1
 */
export function newPolicy(name: PolicyName, loadOf: (server: string) => number, random: () => number): Policy {
  switch (name) {
    case "weighted_round_robin":
      return new SmoothWeightedRoundRobin();
    case "byte_weighted":
      return byteWeighted();
    case "least_load":
      return new LeastLoad(loadOf, random);
  }
}
