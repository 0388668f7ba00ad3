/** The async iterator that `read` returns. */

import { EventReader } from "../delivery/event-reader.js";
import type { ReaderStart } from "../delivery/event-reader.js";
import type { LogStart } from "../delivery/log-start.js";
import { SseError } from "../errors.js";
import type { ChannelMap } from "../options/channels.js";
import type { ReadItem } from "../options/read.js";
import type { DecodedFrame } from "../wire/decode.js";

/**
 * Events of channels in server code: an async iterable and its own iterator.
 *
 * It holds a place in the log, not a queue. `break`, `return()` and the `signal` free everything; so does the end of the
 * hub or reader, after what was published until then.
 */
export interface EventReading<Item> extends AsyncIterableIterator<Item> {
  /**
   * The place up to which everything on these channels has been returned. It also advances over events of other channels, so
   * that it stays valid while these channels are quiet, and it stays readable after the end. Store it together with what
   * was made of the events, and pass it as `after`. Until the place of `after` has been looked up it is `after` itself.
   * Without `after` it is `undefined` until the log has started, and with `latest` until the first item.
   */
  readonly position: string | undefined;
}

/** How a reading decodes, and to whom it reports. */
export interface ReadingParts {
  readonly start: LogStart;
  readonly deserialize: (text: string) => unknown;
  readonly report: (error: unknown) => void;
  /** Its first item is asked for. */
  readonly begun: (reading: Reading) => void;
  /** The reading holds nothing any more. */
  readonly over: (reading: Reading) => void;
}

/** An item of any channel. The compiler has the types of the channels from the caller of `read`. */
type AnyItem = ReadItem<ChannelMap, string>;

/** Reads events for one loop. */
export class Reading implements EventReading<AnyItem> {
  readonly #channels: readonly string[];
  readonly #parts: ReadingParts;
  /** `undefined` until the log has a position. */
  #reader: EventReader | undefined;
  /** Forgets the wait for the log's start. */
  readonly #forget: () => void;
  /** Settles once the log has started or never will. */
  readonly #started: Promise<void> | undefined;
  #hasStarted: () => void = () => {};
  /** Events taken from the window. */
  #events: readonly DecodedFrame[] = [];
  #next = 0;
  /** Position after `#events`. */
  #reached: string | undefined;
  /** Position after the last returned item, or a later one. Final once the reading is over. */
  #position: string | undefined;
  #isOver = false;
  #isEnding = false;
  /** The last of the calls of `next` under way; `undefined` if there is none. */
  #pending: Promise<unknown> | undefined;
  #hasBegun = false;
  readonly #signal: AbortSignal | undefined;

  constructor(
    channels: readonly string[],
    from: ReaderStart,
    signal: AbortSignal | undefined,
    parts: ReadingParts,
  ) {
    this.#channels = channels;
    this.#parts = parts;
    const { start } = parts;
    this.#position = from.after;
    const begin = (): void => {
      if (this.#isOver || start.delivery === undefined) return;
      this.#reader = new EventReader(start.delivery.audience, channels, from);
      this.#position ??= this.#reader.origin;
      if (this.#isEnding) this.#reader.end();
    };
    if (start.isSettled) {
      begin();
      this.#forget = () => {};
    } else {
      this.#started = new Promise((resolve) => {
        this.#hasStarted = resolve;
      });
      this.#forget = start.whenSettled(() => {
        begin();
        this.#hasStarted();
      });
    }
    this.#signal = signal;
  }

  get position(): string | undefined {
    if (this.#isOver) return this.#position;
    // Entries on their way to the caller are not returned yet.
    const isMoving = this.#pending !== undefined && this.#reader?.isWaiting !== true;
    return isMoving || this.#events.length > 0 ? this.#returnedPosition : this.#takenPosition;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<AnyItem, undefined>> {
    if (!this.#hasBegun) this.#begin();
    if (this.#pending === undefined) {
      const item = this.#buffered();
      if (item !== undefined) return Promise.resolve({ done: false, value: item });
    }
    // Calls that do not wait for each other are answered in order.
    const last = this.#pending;
    const result = last === undefined ? this.#advance() : last.then(() => this.#advance());
    const settled = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    const pending = result.then(settled, settled);
    this.#pending = pending;
    return result;
  }

  return(): Promise<IteratorResult<AnyItem, undefined>> {
    this.abort();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** The hub has closed: the caller still gets what is there. */
  end(): void {
    this.#isEnding = true;
    this.#reader?.end();
    this.#hasStarted();
  }

  /** Registers it. Before the first call of `next` nothing else holds it, so an unused reading is garbage. */
  #begin(): void {
    this.#hasBegun = true;
    if (this.#isOver) return;
    if (this.#signal?.aborted === true) return this.abort();
    this.#parts.begun(this);
  }

  /** The caller wants no more, or there is no more. */
  abort(): void {
    if (this.#isOver) return;
    this.#position = this.position;
    this.#isOver = true;
    this.#events = [];
    this.#next = 0;
    this.#reader?.close();
    this.#forget();
    this.#hasStarted();
    this.#parts.over(this);
  }

  async #advance(): Promise<IteratorResult<AnyItem, undefined>> {
    if (!this.#parts.start.isSettled && !this.#isOver && !this.#isEnding) await this.#started;
    for (;;) {
      const item = this.#buffered();
      if (item !== undefined) return { done: false, value: item };
      if (this.#reader === undefined && !this.#isOver && !this.#isEnding) {
        this.abort();
        throw new SseError("ERR_SSE_CLOSED", "The log could not start", { statusCode: 503 });
      }
      const taken = this.#isOver ? undefined : await this.#reader?.take();
      if (taken === undefined || this.#isOver) {
        if (!this.#isOver) this.#position = this.#takenPosition;
        this.abort();
        return { done: true, value: undefined };
      }
      const { reset, events, id } = taken;
      if (reset !== undefined) {
        this.#position = id;
        const channels = [...this.#channels];
        return { done: false, value: { type: "reset", reason: reset, channels, id } };
      }
      this.#events = events;
      this.#next = 0;
      this.#reached = id;
    }
  }

  /** Position after the last returned item; before the first, where the reading began. */
  get #returnedPosition(): string | undefined {
    return this.#position ?? this.#reader?.origin;
  }

  /** Position after everything that was taken. */
  get #takenPosition(): string | undefined {
    return this.#reader?.position ?? this.#returnedPosition;
  }

  /** @returns The next of the entries that were taken; `undefined` after the last. */
  #buffered(): AnyItem | undefined {
    const taken = this.#events[this.#next];
    if (taken === undefined) return undefined;
    this.#next += 1;
    const { id, channel, event, text, isString } = taken;
    const isLast = this.#next === this.#events.length;
    if (isLast) {
      this.#events = [];
      this.#next = 0;
    }
    this.#position = isLast ? this.#reached : id;
    return { type: "event", id, channel, event, data: isString ? text : this.#deserialize(text) };
  }

  #deserialize(text: string): unknown {
    try {
      return this.#parts.deserialize(text);
    } catch (error) {
      // The caller must not lose an event because another program has written it in its own way.
      this.#parts.report(error);
      return text;
    }
  }
}
