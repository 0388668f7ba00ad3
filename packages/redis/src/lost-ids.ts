/** Tells which ids a lost history may have had. */

import { timeOf } from "./entry.js";

/**
 * Tells which ids a lost history may have had.
 *
 * Ids are times on Redis' clock. If that was set back when the history was lost, as in a failover to a machine whose
 * clock is behind, the new history uses numbers of the lost one again. How far the lost one went is not in the stream
 * any more, and this node may not have read its end. But each of its ids is at most the time when the loss
 * was noticed, on the clock that Redis had before.
 */
export class LostIds {
  /** Redis' clock minus that of this process, in milliseconds, or more. */
  #aheadMs = -Infinity;
  #until = -Infinity;

  /** No id after this time on Redis' clock, in milliseconds, is of a lost history. `-Infinity`: there was no loss. */
  get until(): number {
    return this.#until;
  }

  /**
   * Redis' clock has passed a time.
   *
   * @param redisMs - Time on Redis' clock, in milliseconds.
   * @param at - Time at which this process got to know it, or a little earlier, on the clock of `performance.now()`.
   */
  passed(redisMs: number, at: number): void {
    this.#aheadMs = Math.max(this.#aheadMs, redisMs - at);
  }

  /** The history was lost by a time on the clock of `performance.now()`. The next one may have another clock. */
  lostBy(at: number): void {
    this.learn(this.#aheadMs + at);
    this.#aheadMs = -Infinity;
  }

  /** Another node knows of a lost history that went up to this time on its clock at most, in milliseconds. */
  learn(until: number): void {
    this.#until = Math.max(this.#until, until);
  }

  /** Whether an id of Redis may be of a lost history. */
  mayHave(streamId: string): boolean {
    return timeOf(streamId) <= this.#until;
  }
}
