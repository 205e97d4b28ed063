import type { TextStats as TextStatsMessage } from "@bilancia/proto/gen/storage";
import type { TextStats } from "../domain/upload.js";

/** A server's findings in the balancer's own words. */
export function toTextStats(stats: TextStatsMessage | undefined): TextStats | undefined {
  return stats && { lettersA: Number(stats.lettersA), characters: Number(stats.characters) };
}
