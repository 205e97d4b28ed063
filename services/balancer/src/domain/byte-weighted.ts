import { SmoothWeightedRoundRobin } from "./smooth-wrr.js";

/** Bytes that cost one more. Small, so that small files are told apart; not one, so that the sums of large files stay exact. */
const bytesPerCost = 64;

/**
 * Smooth weighted round robin in which a file costs its size: the bytes on the servers follow the weights, whatever the mixture of
 * sizes. All servers are owed their shares of each file, and who is owed most gets it and pays the whole: largest deficit first, as in the
 * deficit round robin of M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin", SIGCOMM 1995, but chosen
 * smoothly. No server is ever more than about one largest file ahead or behind.
 */
export function byteWeighted(): SmoothWeightedRoundRobin {
  // One for the file itself, so that empty files go around as well.
  return new SmoothWeightedRoundRobin((sizeBytes) => 1 + Math.ceil(sizeBytes / bytesPerCost));
}
