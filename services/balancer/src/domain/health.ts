/** What the balancer believes of a server's health. `sinceMs` is Unix time; `reason` is for people. */
export type Health =
  | { readonly kind: "unknown"; readonly sinceMs: number; readonly reason: string }
  | { readonly kind: "healthy"; readonly sinceMs: number; readonly reason: string }
  | { readonly kind: "unhealthy"; readonly sinceMs: number; readonly reason: string };

/** What was seen of a server: the answer to a health check, or a save stream that broke. */
export type HealthSign = { readonly kind: "serving" } | { readonly kind: "failing"; readonly reason: string };

/** The health of a server nobody has asked yet. */
export function unknownHealth(nowMs: number): Health {
  return { kind: "unknown", sinceMs: nowMs, reason: "not probed yet" };
}

/**
 * The health after a sign. Returns the very same object where nothing changed, so that callers can tell by identity. One sign is enough
 * either way: a file that is tried in vain goes to another server, but a file never tried waits.
 */
export function nextHealth(health: Health, sign: HealthSign, nowMs: number): Health {
  if (sign.kind === "serving") {
    return health.kind === "healthy" ? health : { kind: "healthy", sinceMs: nowMs, reason: "answers SERVING" };
  }
  if (health.kind === "unhealthy" && health.reason === sign.reason) return health;
  const sinceMs = health.kind === "unhealthy" ? health.sinceMs : nowMs;
  return { kind: "unhealthy", sinceMs, reason: sign.reason };
}
