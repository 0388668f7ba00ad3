import { shareChunk, shareFrames, shareStored, sizeOf } from "./chunk.js";
import type { SharedFrames } from "./chunk.js";
import { encodeMessage } from "./encode.js";
import { encodeCursorFrame } from "./frame.js";
import { FrameSlab } from "./frame-slab.js";
import type { LogEntry, LogFollower, LogResetReason } from "./log.js";
import type {
  DeliveredFrames,
  DeliveryObserver,
  Subscription,
  SubscriptionHost,
} from "./subscription.js";
import { SLICE_BYTES } from "./subscription.js";
import type { Window, WindowEntry } from "./window.js";

/** After so many milliseconds delivery lets other work have its turn. */
const TURN_MS = 4;
/** Subscriptions between two looks at the clock. */
const LOOK_EVERY = 32;

/** The entries of one turn, or of several while a batch was under way. */
class Batch {
  readonly first: number;
  readonly last: number;
  /** The only channel that has any; `undefined` if there are several. */
  readonly channel: string | undefined;
  readonly #entries: readonly WindowEntry[];
  /** Of the only channel. */
  readonly #only: DeliveredFrames | undefined;
  /** Entries and joined frames by channel; `undefined` if there is but one. */
  readonly #byChannel: Map<string, { entries: WindowEntry[]; frames?: Joined }> | undefined;
  /** Joined frames of several channels, by their names as JSON: a name may hold anything. */
  #ofChannels: Map<string, Joined> | undefined;

  constructor(entries: readonly WindowEntry[]) {
    this.#entries = entries;
    this.first = entries[0]?.position ?? 0;
    this.last = entries.at(-1)?.position ?? 0;
    const channel = entries[0]?.channel;
    if (entries.every((entry) => entry.channel === channel)) {
      this.channel = channel;
      this.#only = join(entries);
      return;
    }
    this.#byChannel = new Map();
    for (const entry of entries) {
      const list = this.#byChannel.get(entry.channel);
      if (list === undefined) this.#byChannel.set(entry.channel, { entries: [entry] });
      else list.entries.push(entry);
    }
  }

  get channels(): Iterable<string> {
    return this.#byChannel?.keys() ?? [];
  }

  /** @returns What concerns a subscription, joined once for all with the same channels; `undefined` if it is too much for one write. */
  framesFor({ channel, channels }: Subscription): DeliveredFrames | undefined {
    if (this.#byChannel === undefined) return this.#only;
    // Nearly all have one channel in a batch: for them nothing is computed but a look into a map.
    const own = channel === undefined ? undefined : this.#byChannel.get(channel);
    if (own !== undefined) {
      own.frames ??= { joined: join(own.entries) };
      return own.frames.joined;
    }
    const present = [...this.#byChannel.keys()].filter((name) => channels.has(name));
    const key = JSON.stringify(present);
    this.#ofChannels ??= new Map();
    let frames = this.#ofChannels.get(key);
    if (frames === undefined) {
      frames = { joined: join(this.#entries.filter((entry) => channels.has(entry.channel))) };
      this.#ofChannels.set(key, frames);
    }
    return frames.joined;
  }
}

/** What came of joining, which may be nothing. */
interface Joined {
  readonly joined: DeliveredFrames | undefined;
}

function join(entries: readonly WindowEntry[]): DeliveredFrames | undefined {
  if (entries.length > 1 && sizeOf(entries) > SLICE_BYTES) return undefined;
  const [first] = entries;
  const shared =
    first !== undefined && entries.length === 1 ? shareChunk(first) : shareStored(entries);
  return { shared, count: entries.length, last: entries.at(-1)?.position ?? 0 };
}

/**
 * Carries what the log gives to the subscriptions of its channels.
 *
 * Each entry is encoded once, into the window. All entries of one turn are joined and go to each subscription
 * in one write; many subscriptions are served in turns, so that the event loop is never held for long.
 */
export class Delivery implements LogFollower, SubscriptionHost {
  readonly window: Window;
  readonly observer: DeliveryObserver;
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
  #targets: Iterator<Subscription> = NONE.values();
  /** Subscriptions that read on from their cursor when it is their turn. */
  #behind: Subscription[] = [];
  #isScheduled = false;
  #position = 0;
  /** The last cursor event: in a quiet time it is the same for all. */
  #cursor: { readonly id: string; readonly frames: SharedFrames } | undefined;

  constructor(window: Window, observer: DeliveryObserver) {
    this.window = window;
    this.observer = observer;
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
  entries(entries: readonly LogEntry[]): void {
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
      this.#fresh.push(this.window.append(id, channel, this.#slab.write(block), now));
    }
    this.#wake();
  }

  /** Called by the log. */
  reset(reason: LogResetReason, tail: string): void {
    this.window.reset(tail);
    this.#fresh = [];
    this.#batch = undefined;
    this.#position = this.window.tail;
    for (const subscription of new Set([...this.#channels.values()].flatMap((set) => [...set]))) {
      subscription.reset(reason);
    }
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
    if (this.#batch === undefined) {
      if (this.#fresh.length === 0) return;
      this.#batch = new Batch(this.#fresh);
      this.#targets = this.#pick(this.#batch);
      this.#fresh = [];
    }
    const batch = this.#batch;
    const targets = this.#targets;
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
    this.#position = batch.last;
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

  /** @returns The subscriptions that a batch concerns; if it has several channels, each is marked with the one that does, if it is one. */
  #pick(batch: Batch): Iterator<Subscription> {
    // As they are. Who joins meanwhile takes nothing from the batch: its cursor is past it.
    if (batch.channel !== undefined) return subscriptionsOf(this.#channels, batch.channel).values();
    const picked: Subscription[] = [];
    for (const channel of batch.channels) {
      for (const subscription of subscriptionsOf(this.#channels, channel)) {
        if (subscription.batch === batch.last) {
          subscription.channel = undefined;
        } else {
          subscription.batch = batch.last;
          subscription.channel = channel;
          picked.push(subscription);
        }
      }
    }
    return picked.values();
  }
}

const NONE: ReadonlySet<Subscription> = new Set();

function subscriptionsOf(
  channels: ReadonlyMap<string, ReadonlySet<Subscription>>,
  channel: string,
): ReadonlySet<Subscription> {
  return channels.get(channel) ?? NONE;
}
