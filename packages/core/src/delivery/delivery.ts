import type { Backfill, Place } from "./backfill.js";
import { createBatch } from "./batch.js";
import type { Batch } from "./batch.js";
import { shareFrames } from "../wire/shared-frames.js";
import type { SharedFrames } from "../wire/shared-frames.js";
import { encodeMessage } from "../wire/encode.js";
import { encodeCursorFrame } from "../wire/frame.js";
import { FrameSlab } from "../wire/frame-slab.js";
import type { LogEntry, LogFollower, LogResetReason } from "../log/log.js";
import type { DeliveryObserver, Subscription, SubscriptionHost } from "./subscription.js";
import type { Window, WindowEntry } from "./window.js";

/** After so many milliseconds delivery lets other work have its turn. */
const TURN_MS = 3;
/** Subscriptions between two looks at the clock. */
const LOOK_EVERY = 32;

/**
 * Carries what the log gives to the subscriptions of its channels.
 *
 * Each entry is encoded once, into the window. All entries of one turn are joined and go to each subscription
 * in one write; many subscriptions are served in turns, so that the event loop is never held for long.
 */
export class Delivery implements LogFollower, SubscriptionHost {
  readonly window: Window;
  readonly observer: DeliveryObserver;
  /** Absent where the log keeps nothing that is older than the window. */
  readonly #backfill: Backfill | undefined;
  readonly #slab = new FrameSlab();
  readonly #channels: Map<string, Set<Subscription>> = new Map();
  /**
   * Entries for the next batch: of this turn and, while a batch is under way, of those it takes. A server that is
   * asked for more than it can do so joins ever more events into each write, and falls behind no further.
   */
  #fresh: WindowEntry[] = [];
  /** What is being handed over. */
  #batch: Batch | undefined;
  /** Those that have yet to get it. Set exactly while `#batch` is. */
  #targets: Iterator<Subscription> | undefined;
  /** Subscriptions that read on from their cursor when it is their turn. */
  #behind: Subscription[] = [];
  #isScheduled = false;
  #position = 0;
  /** The last cursor event: in a quiet time it is the same for all. */
  #cursor: { readonly id: string; readonly frames: SharedFrames } | undefined;

  constructor(window: Window, observer: DeliveryObserver, backfill?: Backfill) {
    this.window = window;
    this.observer = observer;
    this.#backfill = backfill;
    this.#position = window.tail;
  }

  get position(): number {
    return this.#position;
  }

  /** Number of channels that have subscriptions. */
  get channelCount(): number {
    return this.#channels.size;
  }

  /** @returns How many subscriptions a channel has. */
  subscriptionCount(channel: string): number {
    return this.#channels.get(channel)?.size ?? 0;
  }

  /** Called by the log. */
  entries(entries: readonly LogEntry[]): boolean {
    let isWanted = false;
    const now = performance.now();
    for (const { id, channel, event, data, retry } of entries) {
      let block: string;
      try {
        block = encodeMessage({ event, id, retry, data });
      } catch (error) {
        // Another program has written to the log what no client could be sent. The others go on.
        this.observer.report(error, "log");
        continue;
      }
      const entry = this.window.append(id, channel, this.#slab.write(block), now);
      // Who joins the channel later begins behind it, or finds it in the window.
      if (!this.#channels.has(channel)) continue;
      this.#fresh.push(entry);
      isWanted = true;
    }
    if (isWanted) this.#wake();
    else this.#advance();
    return isWanted;
  }

  /** All was handed over but what is under way, and what nobody is subscribed to needs not be. */
  #advance(): void {
    if (this.#batch !== undefined) return;
    const next = this.#fresh[0];
    this.#position = next === undefined ? this.window.tail : next.position - 1;
  }

  /** Called by the log. */
  failed(error: unknown): void {
    this.observer.report(error, "log");
  }

  /** Called by the log. */
  reset(reason: LogResetReason, tail: string): void {
    this.window.reset(tail);
    this.#backfill?.reset();
    this.#fresh = [];
    this.#batch = undefined;
    this.#targets = undefined;
    this.#position = this.window.tail;
    for (const subscription of new Set([...this.#channels.values()].flatMap((set) => [...set]))) {
      subscription.reset(reason);
    }
  }

  locate(id: string): Place | Promise<Place> {
    const place = this.window.locate(id);
    return typeof place === "number" || this.#backfill === undefined
      ? place
      : this.#backfill.locate(id);
  }

  join(channel: string, subscription: Subscription): void {
    const subscriptions = this.#channels.get(channel);
    if (subscriptions === undefined) this.#channels.set(channel, new Set([subscription]));
    else subscriptions.add(subscription);
  }

  leave(channel: string, subscription: Subscription): void {
    const subscriptions = this.#channels.get(channel);
    if (subscriptions?.delete(subscription) === true && subscriptions.size === 0) {
      this.#channels.delete(channel);
    }
  }

  schedule(subscription: Subscription): void {
    this.#behind.push(subscription);
    this.#wake();
  }

  cursorFrames(id: string): SharedFrames {
    if (this.#cursor?.id !== id) {
      this.#cursor = { id, frames: shareFrames([encodeCursorFrame(id)]) };
    }
    return this.#cursor.frames;
  }

  #wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  /** One turn: hands over what was published, then lets those that are behind read on, until the time is up. */
  #turn(): void {
    this.#isScheduled = false;
    const end = performance.now() + TURN_MS;
    this.#deliver(end);
    this.#catchUp(end);
    if (this.#batch !== undefined || this.#fresh.length > 0 || this.#behind.length > 0)
      this.#wake();
  }

  #deliver(end: number): void {
    if (this.#batch === undefined && this.#fresh.length > 0) {
      this.#batch = createBatch(this.#fresh);
      this.#targets = this.#batch.targets(this.#channels);
      this.#fresh = [];
    }
    const batch = this.#batch;
    const targets = this.#targets;
    if (batch === undefined || targets === undefined) return;
    let untilLook = LOOK_EVERY;
    for (let next = targets.next(); !next.done; next = targets.next()) {
      next.value.deliver(batch.first, batch.last, batch.framesFor(next.value));
      // Whatever a batch leads to, a reset among it, this one may be gone.
      if (this.#batch !== batch) return;
      if (--untilLook > 0) continue;
      if (performance.now() > end) return;
      untilLook = LOOK_EVERY;
    }
    this.#batch = undefined;
    this.#targets = undefined;
    this.#advance();
  }

  #catchUp(end: number): void {
    const waiting = this.#behind;
    this.#behind = [];
    let done = 0;
    // At least one, whatever is published: nobody starves.
    do waiting[done++]?.takeTurn();
    while (done < waiting.length && performance.now() < end);
    for (; done < waiting.length; done++) this.#behind.push(waiting[done] as Subscription);
  }
}
