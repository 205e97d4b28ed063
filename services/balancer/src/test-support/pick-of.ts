import { newBackend } from "../domain/backend.js";
import type { PickRecord, ServerSnapshot } from "../domain/pick.js";

/** A choice of the first of so many servers, at the time of the upload's number. */
export function pickOf(requestNumber: bigint, attempt = 1, serverCount = 2): PickRecord {
  const atMs = Number(requestNumber);
  const servers = Array.from({ length: serverCount }, (_, at): ServerSnapshot => {
    const {
      limit: _limit,
      address: _address,
      backSinceMs: _back,
      ...backend
    } = newBackend({ name: `s${at}`, address: "s:1", weight: 1 }, 0);
    const health = { kind: "healthy", sinceMs: 0, reason: "answers SERVING", doubts: 0 } as const;
    return { ...backend, health, maxFiles: 8, effectiveWeight: 1 };
  });
  const zeros = () => new Map(servers.map(({ name }) => [name, 0]));
  return {
    ...{ requestNumber, attempt, client: "c", sizeBytes: 1, dueSinceMs: atMs, server: "s0", reason: "policy" },
    refusedBy: new Set(),
    pool: { atMs, policy: "weighted_round_robin", maxBytes: 1_000_000, servers: [servers], standings: zeros },
    after: zeros,
    compared: undefined,
  };
}
