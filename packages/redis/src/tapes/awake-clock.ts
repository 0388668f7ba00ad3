/** A clock that hardly goes on while the process is stopped or busy, for the leases of producers. */

/**
 * Counts milliseconds while the process is awake.
 *
 * After a stop or a busy period, a process runs its overdue timers before it reads the replies that have arrived. On an
 * ordinary clock its leases would seem over, although Redis would still renew them.
 */
export class AwakeClock {
  readonly #mostMs: number;
  #nowMs = 0;
  #readAt: number = performance.now();

  /** @param mostMs - Most that the clock goes on between two readings. Read it more often than that. */
  constructor(mostMs: number) {
    this.#mostMs = mostMs;
  }

  /** @returns The time, in milliseconds. */
  read(): number {
    const at = performance.now();
    this.#nowMs += Math.min(at - this.#readAt, this.#mostMs);
    this.#readAt = at;
    return this.#nowMs;
  }
}
