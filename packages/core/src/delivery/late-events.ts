/** Finds out which events that are waited for are lost. */

import type { Backfill } from "./backfill.js";

/** Time between two lookups, in milliseconds. Nearly all events are read within a few. */
const EVERY_MS = 500;
/** Lookups in a row that miss an event until it counts as lost. The first may have asked a server that is behind. */
const MOST_MISSES = 2;
/** Most ids per lookup. */
const MOST_IDS = 128;

/** The part of {@link Backfill} that looks ids up. */
export type Holds = Pick<Backfill, "holds">;

/**
 * Looks up events that are late. One may never come: it was added to a history that has been replaced since, and the
 * present one may take hours to reach its id.
 */
export class LateEvents {
  readonly #backfill: Holds;
  readonly #late: () => Iterable<string>;
  readonly #lost: (ids: ReadonlySet<string>) => void;
  /** Lookups in a row that missed an id. */
  #misses: ReadonlyMap<string, number> = new Map();
  #isRunning = false;

  /**
   * @param late - Ids not read yet; without any, the lookups end.
   * @param lost - Receives those that the log does not hold.
   */
  constructor(
    backfill: Holds,
    late: () => Iterable<string>,
    lost: (ids: ReadonlySet<string>) => void,
  ) {
    this.#backfill = backfill;
    this.#late = late;
    this.#lost = lost;
  }

  /** Begins to look up, and continues as long as there are ids not read yet. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    setTimeout(() => void this.#lookUp(), EVERY_MS).unref();
  }

  async #lookUp(): Promise<void> {
    const ids = [...new Set(this.#late())].slice(0, MOST_IDS);
    if (ids.length > 0) {
      const isWanted = (): boolean => [...this.#late()].some((id) => ids.includes(id));
      const held = await this.#backfill.holds(ids, isWanted);
      if (held !== undefined) this.#count(ids, held);
    }
    this.#isRunning = false;
    if (ids.length > 0) this.start();
  }

  #count(ids: readonly string[], held: readonly boolean[]): void {
    const misses = new Map<string, number>();
    for (const [index, id] of ids.entries()) {
      if (held[index] === false) misses.set(id, (this.#misses.get(id) ?? 0) + 1);
    }
    this.#misses = misses;
    const lost = new Set([...misses].filter(([, count]) => count >= MOST_MISSES).map(([id]) => id));
    if (lost.size > 0) this.#lost(lost);
  }
}
