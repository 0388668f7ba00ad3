/** Events published by this process that the log has accepted but not delivered back yet. */

import { LateEvents } from "./late-events.js";
import type { Holds } from "./late-events.js";
import type { Window } from "./window.js";

/** Most unread events that are remembered. */
const MOST_UNREAD = 64;

/** A caller that waits until an event has been read. */
interface Waiting {
  readonly id: string;
  readonly resolve: (isLost: boolean) => void;
}

/**
 * Events that this process has published but not read yet.
 *
 * A shared log answers a publish before the event comes back. `complete()` waits for it: otherwise it would end the
 * stream before an event whose `publish` has already resolved.
 */
export class OwnEvents {
  readonly #window: Window;
  /** The latest that were added, in that order. Read ones leave together with the newest. */
  #unread: string[] = [];
  /** The newest of them by id; `undefined` if there is none. */
  #newest: string | undefined;
  #waiting: Waiting[] = [];
  readonly #lateEvents: LateEvents | undefined;

  /** @param backfill - `undefined` where the log keeps nothing older than the window. */
  constructor(window: Window, backfill?: Holds) {
    this.#window = window;
    this.#lateEvents =
      backfill &&
      new LateEvents(
        backfill,
        () => this.#late(),
        (ids) => this.#lose(ids),
      );
  }

  /** An event of this process is in the log. */
  add(id: string): void {
    if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
    else if (!this.#window.isAhead(id)) return;
    this.#unread.push(id);
    if (this.#unread.length > MOST_UNREAD) this.#unread.shift();
  }

  /**
   * Waits for events to be read back.
   *
   * @param id - Up to this added id; absent: all added until now.
   * @returns Resolves once they are read or lost; `undefined` if they already have been.
   */
  whenRead(id?: string): Promise<void> | undefined {
    const upTo = id ?? this.#newest;
    if (upTo === undefined || !this.#window.isAhead(upTo)) return undefined;
    const read = new Promise<boolean>((resolve) => {
      this.#waiting.push({ id: upTo, resolve });
    });
    this.#lateEvents?.start();
    // Behind a lost event, there may be others with lower ids.
    return read.then((isLost) => (isLost && id === undefined ? this.whenRead() : undefined));
  }

  /** New entries have come from the log. */
  look(): void {
    if (this.#newest === undefined) return;
    if (!this.#window.isAhead(this.#newest)) return this.clear();
    // Under continuous publishing there is always an event not read yet, so waiters go by id.
    if (this.#waiting.length > 0) this.#tell(({ id }) => !this.#window.isAhead(id), false);
  }

  /** Ends all waits: every event was read, or the log has a new history or is closed. */
  clear(): void {
    this.#unread = [];
    this.#newest = undefined;
    this.#tell(() => true, false);
  }

  /** While there are callers, every unread event: if one of them is lost, the next is waited for. */
  #late(): Iterable<string> {
    const waitedFor = this.#waiting.map(({ id }) => id);
    return waitedFor.length === 0 ? waitedFor : [...waitedFor, ...this.#unread];
  }

  #lose(lost: ReadonlySet<string>): void {
    this.#unread = this.#unread.filter((id) => !lost.has(id));
    this.#newest = undefined;
    for (const id of this.#unread) if (this.#window.isAhead(id, this.#newest)) this.#newest = id;
    this.#tell(({ id }) => lost.has(id), true);
  }

  #tell(isOver: (waiting: Waiting) => boolean, isLost: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => !isOver(one));
    for (const one of waiting) if (isOver(one)) one.resolve(isLost);
  }
}
