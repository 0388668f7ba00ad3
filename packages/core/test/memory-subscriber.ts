import { encodeFrame } from "../src/wire/frame.js";
import type { SseMessage } from "../src/wire/message.js";
import { resolveOptions } from "../src/options/hub.js";
import type { SharedFrames } from "../src/wire/shared-frames.js";
import { Delivery } from "../src/delivery/delivery.js";
import type { DeliveryObserver } from "../src/delivery/subscription.js";
import type { ResetReason } from "../src/wire/frame.js";
import type { LogEntry } from "../src/log/log.js";
import type { SubscribeOptions } from "../src/options/subscribe.js";
import { Subscription } from "../src/delivery/subscription.js";
import type { SubscribedSession } from "../src/delivery/subscription.js";
import { Window } from "../src/delivery/window.js";
import type { Retention } from "../src/delivery/window.js";
import { interpret } from "./whatwg-parser.js";
import type { DispatchedEvent } from "./whatwg-parser.js";

const OPTIONS = resolveOptions();

/** A session that writes into memory, and whose socket is full whenever the test says so. */
export class MemorySession implements SubscribedSession {
  isOpen = true;
  isBlocked = false;
  hasFailed = false;
  /** `true`: the next write fills the socket, as does every one until `drain`. */
  fillsUp = false;
  /** Each write as it came. */
  readonly writes: Buffer[] = [];
  /** Called after each write. */
  onWrite: () => void = () => {};
  subscription: Subscription | undefined;

  writeFrames({ bytes }: SharedFrames): boolean {
    if (!this.isOpen) throw new Error("A write before the head or after the end");
    this.writes.push(Buffer.from(bytes));
    if (this.fillsUp) this.isBlocked = true;
    this.onWrite();
    return !this.isBlocked;
  }

  encode(message: SseMessage | string): Buffer {
    return encodeFrame(message, OPTIONS);
  }

  fail(): void {
    this.hasFailed = true;
    this.close();
  }

  close(): void {
    this.isOpen = false;
    this.subscription?.closed();
  }

  /** The client stops taking anything. */
  block(): void {
    this.fillsUp = true;
    this.isBlocked = true;
  }

  /** The client has taken all. `fillsUp` stays: the next write blocks again. */
  drainOnce(): void {
    this.isBlocked = false;
    this.subscription?.advance();
  }

  /** The client has taken all and keeps up from now on. */
  drain(): void {
    this.fillsUp = false;
    this.drainOnce();
  }

  /** All that was written, as text. */
  get text(): string {
    return Buffer.concat(this.writes).toString();
  }

  /** What a client makes of it. */
  get events(): readonly DispatchedEvent[] {
    return interpret(this.writes).events;
  }

  /** Data of the events that are the application's. */
  get data(): string[] {
    return this.events.filter(({ type }) => !type.startsWith("sse-")).map(({ data }) => data);
  }

  /** Types and last event IDs of Tidewire's own events, `sse-` left out. */
  get signals(): string[] {
    return this.events
      .filter(({ type }) => type.startsWith("sse-"))
      .map(({ type, lastEventId }) => `${type.slice(4)} ${lastEventId}`);
  }

  /** The id that the client would come back with. */
  get lastEventId(): string {
    return interpret(this.writes).lastEventId;
  }
}

/** What delivery has told, written down. */
export class RecordingObserver implements DeliveryObserver {
  events = 0;
  bytes = 0;
  replays = 0;
  readonly resets: ResetReason[] = [];
  readonly errors: unknown[] = [];

  counted(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  replayed(): void {
    this.replays += 1;
  }

  wasReset(_subscription: Subscription, reason: ResetReason): void {
    this.resets.push(reason);
  }

  report(error: unknown): void {
    this.errors.push(error);
  }
}

/** Ids of a log whose order is that of their numbers: `e.7`. */
export function numberedId(number: number): string {
  return `e.${number}`;
}

/** The order of {@link numberedId}; `NaN` for anything else. */
export function compareNumbered(a: string, b: string): number {
  const numberOf = (id: string): number => (/^e\.\d{1,15}$/.test(id) ? Number(id.slice(2)) : NaN);
  return numberOf(a) - numberOf(b);
}

const RETENTION: Retention = { maxAgeMs: 300_000, maxEvents: 1_000, maxBytes: 64 * 1024 * 1024 };

/** A real window and a real delivery, fed by hand. */
export class Harbor {
  readonly window: Window;
  readonly delivery: Delivery;
  readonly observer: RecordingObserver = new RecordingObserver();
  /** Number of the newest id. */
  #last = 0;

  constructor(retention: Partial<Retention> = {}) {
    this.window = new Window({ ...RETENTION, ...retention }, numberedId(0), compareNumbered);
    this.delivery = new Delivery(this.window, this.observer);
  }

  /** What the log hands over in one call: each as `channel data`, the data empty if there is none. */
  publish(...items: readonly string[]): void {
    this.delivery.entries(
      items.map((item): LogEntry => {
        const [channel = "", data = ""] = item.split(" ");
        return { id: numberedId(++this.#last), channel, data };
      }),
    );
  }

  /** Subscribes, and lets the turn come in which what there is gets written. */
  subscribe(
    channels: string | readonly string[],
    { lastEventId = "", ...options }: SubscribeOptions & { readonly lastEventId?: string } = {},
    session: MemorySession = new MemorySession(),
  ): MemorySession {
    const subscription = this.begin(channels, { lastEventId, ...options }, session);
    subscription.takeTurn();
    return session;
  }

  /** Subscribes, and leaves the rest to later turns. */
  begin(
    channels: string | readonly string[],
    { lastEventId = "", ...options }: SubscribeOptions & { readonly lastEventId?: string },
    session: MemorySession,
  ): Subscription {
    const subscription = new Subscription(session, this.delivery);
    session.subscription = subscription;
    const names = typeof channels === "string" ? [channels] : channels;
    subscription.begin(names, options, lastEventId, false);
    return subscription;
  }
}

/** Lets delivery have its turns until nothing is left to do. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
