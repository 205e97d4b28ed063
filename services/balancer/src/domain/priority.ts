/** How urgent an upload is among those of its own client. */
export type Priority = "high" | "normal" | "low";

/** All of them, the most urgent first. */
export const priorities: readonly Priority[] = ["high", "normal", "low"];

/** How much goes out of each, against the others, while all of them have something waiting. */
export const priorityWeights: Readonly<Record<Priority, number>> = { high: 16, normal: 4, low: 1 };
