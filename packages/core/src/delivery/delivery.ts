/** Delivers log entries to the members of their channels. */

import type { LogEntry, LogFollower, LogResetReason } from "../log/log.js";
import { encodeMessage } from "../wire/encode.js";
import { FrameSlab, markString } from "../wire/frame-slab.js";
import type { Framing } from "../wire/frame.js";
import { Audience } from "./audience.js";
import type { DeliveryObserver } from "./audience.js";
import type { Backfill } from "./backfill.js";
import { takeBatch } from "./batch.js";
import type { Batch, FreshEntry } from "./batch.js";
import { Deque } from "./deque.js";
import { NO_CHANNEL, UnsendableReports, encodeEntry, encodePlace, isControl } from "./log-entry.js";
import { OwnEvents } from "./own-events.js";
import { Turns } from "./turns.js";
import type { Window } from "./window.js";

/** Members served between two checks of the clock. */
const LOOK_EVERY = 32;
/** Shortest time between two samples of the delay, in milliseconds. */
const SAMPLE_EVERY_MS = 10;

/**
 * Delivers log entries to the members of their channels.
 *
 * Each entry is encoded once, into the window. All entries of one turn are joined, and each member gets them in
 * one write. Many members are served over several turns, which keeps the event loop responsive.
 */
export class Delivery implements LogFollower {
  readonly audience: Audience;
  readonly own: OwnEvents;
  readonly #maxEventBytes: number;
  readonly #backfill: Backfill | undefined;
  readonly #unsendable: UnsendableReports;
  readonly #slab = new FrameSlab();
  /**
   * Entries for the next batch: those of this turn and those that arrive while a batch is being delivered. Under
   * overload this joins more events into each write, which keeps the lag bounded. Every entry is also in the window, so
   * the window's limits bound this list.
   */
  readonly #fresh = new Deque<FreshEntry>([]);
  /** Channels whose entries left the window before they could be handed over. */
  readonly #overtaken = new Set<string>();
  /** Arrival of the first of `#fresh`. Valid while there is one. */
  #freshSince = 0;
  /** The batch being delivered. */
  #batch: Batch | undefined;
  /** Arrival of the first entry of `#batch`. Valid while there is one. */
  #batchSince = 0;
  /** `#batchSince` of the last sample. */
  #sampledSince = 0;
  /** `true` while entries are added. Entries dropped meanwhile leave `#fresh` before it is read. */
  #isAppending = false;
  readonly #turns: Turns;

  /**
   * @param framing - As the hub's own publishes. Entries of other programs may be larger.
   * @param backfill - `undefined` where the log keeps nothing older than the window.
   */
  constructor(window: Window, observer: DeliveryObserver, framing: Framing, backfill?: Backfill) {
    this.own = new OwnEvents(window, backfill);
    this.#maxEventBytes = framing.maxEventBytes;
    this.#backfill = backfill;
    this.#unsendable = new UnsendableReports((error) => observer.report(error, "log"));
    this.#turns = new Turns((end) => this.#turn(end));
    // Entries dropped at any other time may still be in `#fresh`.
    window.released = (position, lent) =>
      this.#slab.release(position, this.#isAppending ? lent : Infinity);
    this.audience = new Audience(window, observer, framing, this.#turns, backfill);
  }

  /** Whether entries are still to be handed over. */
  get isBusy(): boolean {
    return this.#batch !== undefined || this.#fresh.length > 0 || this.#overtaken.size > 0;
  }

  /** Called by the log. */
  entries(entries: readonly LogEntry[]): boolean {
    const { audience } = this;
    const { window } = audience;
    const slab = this.#slab;
    const now = performance.now();
    let isWanted = false;
    let controls: LogEntry[] | undefined;
    this.#isAppending = true;
    for (const logEntry of entries) {
      const { id, channel } = logEntry;
      if (isControl(logEntry)) (controls ??= []).push(logEntry);
      const block = this.#encode(logEntry, now);
      if (block === undefined) {
        window.append(id, slab.write(encodePlace(logEntry), NO_CHANNEL, window.tail + 1), now);
        continue;
      }
      const frame = slab.write(block, channel, window.tail + 1);
      if (logEntry.isString === true) markString(frame);
      const entry = window.append(id, frame, now);
      // A member that joins the channel later begins after the entry, or finds it in the window.
      if (audience.of(channel) === undefined) continue;
      if (this.#fresh.length === 0) this.#freshSince = now;
      this.#fresh.push({ channel, entry });
      isWanted = true;
    }
    this.#isAppending = false;
    this.#dropOvertaken();
    this.own.look();
    if (isWanted || this.#overtaken.size > 0) this.#turns.wake();
    else this.#advance();
    if (controls === undefined) return isWanted;
    // Last, because these may run application code that publishes.
    for (const entry of controls) audience.observer.control(entry, undefined);
    return isWanted;
  }

  /** Called by the log. */
  failed(error: unknown): void {
    this.audience.observer.report(error, "log");
  }

  /** Called by the log. */
  reset(reason: LogResetReason, tail: string): void {
    const { audience } = this;
    audience.window.reset(tail);
    audience.decoded.clear();
    this.#slab.clear();
    this.#backfill?.reset();
    this.own.clear();
    while (this.#fresh.length > 0) this.#fresh.shift();
    this.#overtaken.clear();
    this.#batch = undefined;
    audience.position = audience.window.tail;
    audience.observer.voided();
    for (const member of audience.all()) member.reset(reason);
  }

  /** @returns The block for clients; `undefined` if the entry is only a position to them. */
  #encode(entry: LogEntry, now: number): string | undefined {
    try {
      if (isControl(entry)) {
        const message = this.audience.observer.translate(entry);
        return message && encodeMessage({ ...message, id: entry.id });
      }
      return encodeEntry(entry, this.#maxEventBytes);
    } catch (error) {
      // Another program has written an entry to the log that clients cannot be sent. The remaining entries are
      // delivered.
      this.#unsendable.add(error, now);
      return undefined;
    }
  }

  /** Drops what the window has dropped. Members that needed it get a reset. */
  #dropOvertaken(): void {
    const { first } = this.audience.window;
    for (let next = this.#fresh.at(0); next !== undefined; next = this.#fresh.at(0)) {
      if (next.entry.position >= first) return;
      this.#overtaken.add(next.channel);
      this.#fresh.shift();
    }
  }

  /** Moves `position` over everything but the batch being delivered. Entries without members need no delivery. */
  #advance(): void {
    // Overtaken members stand before the entries they lost: `position` must not pass them.
    if (this.#batch !== undefined || this.#overtaken.size > 0) return;
    const next = this.#fresh.at(0);
    const { audience } = this;
    audience.position = next === undefined ? audience.window.tail : next.entry.position - 1;
  }

  /** One turn: delivers new entries, then lets members that are behind continue, until the time is up. */
  #turn(end: number): boolean {
    this.#deliver(end);
    this.#catchUp(end);
    return (
      this.#batch !== undefined ||
      this.#fresh.length > 0 ||
      this.#overtaken.size > 0 ||
      this.audience.waitingCount > 0
    );
  }

  #deliver(end: number): void {
    if (this.#batch === undefined) {
      this.#tellOvertaken();
      if (this.#fresh.length === 0) return;
      this.#batch = takeBatch(this.#fresh, this.audience);
      this.#batchSince = this.#freshSince;
      this.#freshSince = this.#fresh.at(0)?.entry.at ?? 0;
      this.audience.window.lend(this.#batch.last);
    }
    const batch = this.#batch;
    let untilLook = LOOK_EVERY;
    for (let member = batch.next(); member !== undefined; member = batch.next()) {
      member.deliver(batch.first, batch.last, batch.pieces);
      // A delivery may run application code that leads to a reset, which discards this batch.
      if (this.#batch !== batch) return;
      if (--untilLook > 0) continue;
      if (performance.now() > end) return;
      untilLook = LOOK_EVERY;
    }
    this.#batch = undefined;
    this.#advance();
    this.#sample();
  }

  /** Times some of the batches, for an observer that wants to know. */
  #sample(): void {
    const { observer } = this.audience;
    const since = this.#batchSince;
    if (since - this.#sampledSince < SAMPLE_EVERY_MS || !observer.isTimed) return;
    this.#sampledSince = since;
    observer.timed(performance.now() - since);
  }

  #tellOvertaken(): void {
    if (this.#overtaken.size === 0) return;
    for (const channel of this.#overtaken) {
      for (const member of this.audience.of(channel) ?? []) member.overtaken();
    }
    this.#overtaken.clear();
    this.#advance();
  }

  #catchUp(end: number): void {
    // Members that arrive in the meantime queue behind these.
    let left = this.audience.waitingCount;
    // At least one each turn, however much is published: a client's wait does not depend on what others get.
    do this.audience.next()?.takeTurn();
    while (--left > 0 && performance.now() < end);
  }
}
