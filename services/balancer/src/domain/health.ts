/** What the balancer believes of a server's health. `sinceMs` is Unix time; `reason` is for people. */
export interface Health {
  readonly kind: "unknown" | "healthy" | "unhealthy";
  readonly sinceMs: number;
  readonly reason: string;
  /** How many signs in a row have spoken against it. */
  readonly doubts: number;
}

/** What was seen of a server. */
export type HealthSign =
  | { readonly kind: "serving" }
  /** It did not answer in time, or not as it should. May be chance. */
  | { readonly kind: "silent"; readonly reason: string }
  /** Its connection was lost or refused: nobody is there. */
  | { readonly kind: "gone"; readonly reason: string }
  /** It answers that it does not serve. What it has begun it may still finish. */
  | { readonly kind: "refusing"; readonly reason: string };

/** How many signs in a row change the mind. */
export interface HealthThresholds {
  /** Silent signs until a healthy server is unhealthy. Those that leave no doubt count at once. */
  readonly fall: number;
  /** Serving signs until an unhealthy server is healthy. */
  readonly rise: number;
}

/** The health of a server nobody has asked yet. */
export function unknownHealth(nowMs: number): Health {
  return { kind: "unknown", sinceMs: nowMs, reason: "not probed yet", doubts: 0 };
}

/** The health after a sign. The very same object where nothing changed. The first sign of a server settles it either way. */
export function nextHealth(health: Health, sign: HealthSign, nowMs: number, { fall, rise }: HealthThresholds): Health {
  const agrees = health.kind === (sign.kind === "serving" ? "healthy" : "unhealthy");
  if (agrees) {
    const reason = sign.kind === "serving" ? health.reason : sign.reason;
    return health.doubts === 0 && reason === health.reason ? health : { ...health, reason, doubts: 0 };
  }
  const doubts = health.doubts + 1;
  if (sign.kind === "serving") {
    if (health.kind === "unhealthy" && doubts < rise) return { ...health, doubts };
    return { kind: "healthy", sinceMs: nowMs, reason: "answers SERVING", doubts: 0 };
  }
  if (health.kind === "healthy" && sign.kind === "silent" && doubts < fall) return { ...health, doubts };
  return { kind: "unhealthy", sinceMs: nowMs, reason: sign.reason, doubts: 0 };
}

/** How long to wait until a server is asked again: not at all in doubt, and not as long where it is not known to be healthy. */
export function probePauseMs({ kind, doubts }: Health, intervalMs: number): number {
  if (kind !== "healthy") return intervalMs / 4;
  return doubts > 0 ? 0 : intervalMs;
}
