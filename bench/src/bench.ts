import type { ProxyName } from "./peers/peers.js";
import type { Measured } from "./report/results.js";
import { shuffled } from "./report/statistics.js";

/** What a workload is to measure with. */
export interface Bench {
  readonly quick: boolean;
  readonly rounds: number;
  /** The disk to use. */
  readonly dir: string;
  /** A folder in memory; missing where there is none. */
  readonly tmpfs: string | undefined;
  /** The proxies that are installed. */
  readonly proxies: readonly ProxyName[];
  /** nats-server, where it is installed. */
  readonly natsServer: string | undefined;
  /** 0 to below 1 */
  readonly random: () => number;
  /** Tells whoever watches how far it is. */
  readonly log: (words: string) => void;
}

/** A kind of load, measured. */
export interface Workload {
  readonly name: string;
  /** What it does and why, for the documentation. */
  readonly about: string;
  /** Measures, verifies what arrived, and gives each result as soon as it is there. @throws Error when anything is not as it was sent */
  run(bench: Bench): AsyncGenerator<Measured, void, void>;
}

/** A contender's turn. */
export interface Turn<Figure> {
  readonly name: string;
  /** @param warmUp true the first time, whose figure does not count: it may be shorter */
  measure(warmUp: boolean): Promise<Figure>;
}

/**
 * Warms every contender up, then lets all have their turns in each round, in a new random order, so that noise and a disk that fills up meet all of
 * them alike.
 *
 * @returns each contender's figures, one for each round
 */
export async function interleaved<Figure>(
  title: string,
  turns: readonly Turn<Figure>[],
  { rounds, random, log }: Pick<Bench, "rounds" | "random" | "log">,
): Promise<Record<string, Figure[]>> {
  const figures: Record<string, Figure[]> = Object.fromEntries(turns.map(({ name }) => [name, []]));
  for (const turn of turns) {
    log(`${title}: warming up ${turn.name}`);
    await turn.measure(true);
  }
  for (let round = 1; round <= rounds; round++)
    for (const turn of shuffled(turns, random)) {
      log(`${title}: round ${round} of ${rounds}, ${turn.name}`);
      figures[turn.name]?.push(await turn.measure(false));
    }
  return figures;
}
