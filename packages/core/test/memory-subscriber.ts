/** Delivery without a network: clients whose sockets are full on command. */

import { Delivery } from "../src/delivery/delivery.js";
import type { DeliveryObserver } from "../src/delivery/audience.js";
import { Subscription } from "../src/delivery/subscription.js";
import { Window } from "../src/delivery/window.js";
import type { Retention } from "../src/delivery/window.js";
import type { LogEntry } from "../src/log/log.js";
import { resolveOptions } from "../src/options/hub.js";
import type { SubscribeOptions } from "../src/options/subscribe.js";
import { Outlet } from "../src/outlet/outlet.js";
import type { OutletRequest } from "../src/outlet/outlet.js";
import type { ResetReason } from "../src/wire/frame.js";
import type { SharedFrames } from "../src/wire/shared-frames.js";
import { MemoryHeaders } from "./memory-headers.js";
import { makeSettings } from "./memory-outlet.js";
import { interpret } from "./whatwg-parser.js";
import type { DispatchedEvent } from "./whatwg-parser.js";

const OPTIONS = resolveOptions();

/** A comment that fills a client's socket. Not recorded. */
const FULL: Buffer = Buffer.from(":full\n\n");

/** A client: an outlet that writes into memory. */
export class MemoryClient extends Outlet {
  readonly hasErrorHandler = true;
  readonly request: OutletRequest = { headers: {} };
  readonly context = undefined;
  readonly headers: MemoryHeaders = new MemoryHeaders();
  readonly isHeadSent = true;
  readonly isQueued = false;
  readonly isOver = false;
  readonly bufferedBytes = 0;
  readonly progress = 0;
  hasFailed = false;
  /** `true`: the next write fills the socket, as does every later one until `drain`. */
  fillsUp = false;
  /** Each write separately. */
  readonly writes: Buffer[] = [];
  /** Called after each write. */
  onWrite: () => void = () => {};
  subscription: Subscription | undefined;

  /** @param holdsHead - `true` blocks writes until {@link MemoryClient.sendHead}. */
  constructor({ holdsHead = false }: { readonly holdsHead?: boolean } = {}) {
    super(makeSettings());
    this.owner = {
      outletReady: () => {},
      outletFailed: () => {
        this.hasFailed = true;
        this.close();
      },
      outletClosed: () => {},
    };
    this.open(false);
    if (!holdsHead) this.sendHead();
  }

  get isClosed(): boolean {
    return this.phase === "ended";
  }

  start(): void {}

  /** Sends the head. */
  sendHead(): void {
    this.headSent();
  }

  protected put(bytes: Uint8Array): boolean {
    const frame = Buffer.from(bytes);
    // The opening comment comes with the first bytes, whatever they are.
    const own = frame.subarray(0, 3).toString() === ":\n\n" ? frame.subarray(3) : frame;
    if (own.byteLength === 0) return true;
    if (own.equals(FULL)) return !this.fillsUp;
    this.writes.push(own);
    this.onWrite();
    return !this.fillsUp;
  }

  protected putShared({ bytes }: SharedFrames): boolean {
    return this.put(bytes);
  }

  protected endBody(): void {}
  awaitTurn(): void {}
  destroy(): void {}
  answer(): void {}
  refuse(): void {}

  close(): void {
    this.finish();
  }

  /** The client stops reading. */
  block(): void {
    this.fillsUp = true;
    this.send(FULL);
  }

  /** The client has read everything. `fillsUp` stays, so the next write blocks again. */
  drainOnce(): void {
    this.drained();
  }

  /** The client has read everything and keeps up from now on. */
  drain(): void {
    this.fillsUp = false;
    this.drainOnce();
  }

  /** Everything written, as text. */
  get text(): string {
    return Buffer.concat(this.writes).toString();
  }

  /** The events that a client dispatches. */
  get events(): readonly DispatchedEvent[] {
    return interpret(this.writes).events;
  }

  /** Data of the application's events. */
  get data(): string[] {
    return this.events.filter(({ type }) => !type.startsWith("sse-")).map(({ data }) => data);
  }

  /** Types (without `sse-`) and last event IDs of Tidewire's own events. */
  get signals(): string[] {
    return this.events
      .filter(({ type }) => type.startsWith("sse-"))
      .map(({ type, lastEventId }) => `${type.slice(4)} ${lastEventId}`);
  }

  /** The id that the client would report on reconnecting. */
  get lastEventId(): string {
    return interpret(this.writes).lastEventId;
  }
}

/** Records everything that delivery reports. */
export class RecordingObserver implements DeliveryObserver {
  events = 0;
  bytes = 0;
  replays = 0;
  readonly resets: ResetReason[] = [];
  readonly delays: number[] = [];
  readonly errors: unknown[] = [];

  counted(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  replayed(): void {
    this.replays += 1;
  }

  translate(): undefined {}

  control(): void {}

  voided(): void {}

  wasReset(_outlet: Outlet, reason: ResetReason): void {
    this.resets.push(reason);
  }

  readonly isTimed = true;

  timed(delayMs: number): void {
    this.delays.push(delayMs);
  }

  report(error: unknown): void {
    this.errors.push(error);
  }
}

/** Ids of a log in numerical order: `e.7`. */
export function numberedId(number: number): string {
  return `e.${number}`;
}

/** The order of {@link numberedId}; `NaN` for other text. */
export function compareNumbered(a: string, b: string): number {
  const numberOf = (id: string): number => (/^e\.\d{1,15}$/.test(id) ? Number(id.slice(2)) : NaN);
  return numberOf(a) - numberOf(b);
}

const RETENTION: Retention = { maxAgeMs: 300_000, maxEvents: 1_000, maxBytes: 64 * 1024 * 1024 };

/** A real window and a real delivery, fed by the test. */
export class Harbor {
  readonly window: Window;
  readonly delivery: Delivery;
  readonly observer: RecordingObserver = new RecordingObserver();
  /** Number of the newest id. */
  #last = 0;

  constructor(retention: Partial<Retention> = {}) {
    this.window = new Window({ ...RETENTION, ...retention }, numberedId(0), compareNumbered);
    this.delivery = new Delivery(this.window, this.observer, OPTIONS);
  }

  /** Delivers entries in one call, as the log does: each as `channel data`, with empty data if there is none. */
  publish(...items: readonly string[]): void {
    this.delivery.entries(
      items.map((item): LogEntry => {
        const [channel = "", data = ""] = item.split(" ");
        return { id: numberedId(++this.#last), channel, data };
      }),
    );
  }

  /** Subscribes, and lets a turn pass in which existing events are written. */
  subscribe(
    channels: string | readonly string[],
    { lastEventId = "", ...options }: SubscribeOptions & { readonly lastEventId?: string } = {},
    session: MemoryClient = new MemoryClient(),
  ): MemoryClient {
    const subscription = this.begin(channels, { lastEventId, ...options }, session);
    subscription.takeTurn();
    return session;
  }

  /**
   * Subscribes, and leaves everything else to later turns.
   *
   * @param others - More calls in the same turn.
   */
  begin(
    channels: string | readonly string[],
    { lastEventId = "", ...options }: SubscribeOptions & { readonly lastEventId?: string },
    session: MemoryClient,
    ...others: readonly {
      readonly channels: readonly string[];
      readonly options?: SubscribeOptions;
    }[]
  ): Subscription {
    const subscription = new Subscription(session, this.delivery.audience);
    session.subscription = subscription;
    const names = typeof channels === "string" ? [channels] : channels;
    if (lastEventId === "") subscription.begin(false);
    else subscription.beginLater(true);
    subscription.join(names, options, { isReplayed: lastEventId !== "", comesFirst: true });
    for (const { channels: added, options: how = {} } of others) {
      const isReplayed = lastEventId !== "" && how.snapshot === undefined;
      subscription.join(added, how, { isReplayed, comesFirst: false });
    }
    if (lastEventId !== "") subscription.place(lastEventId);
    return subscription;
  }
}

/** Runs turns of delivery until it is idle. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
