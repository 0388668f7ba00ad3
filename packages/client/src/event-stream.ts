/** The stream that an application holds: its events, its status, and loops over it. For the compiler only. */

import type { EventData, EventType } from "./channels.js";
import type { Status } from "./status.js";

/** One event of a stream. */
export interface StreamEvent<Type extends string = string, Data = unknown> {
  /** Event type; `message` for an event without one. */
  readonly type: Type;
  /** The event's data: parsed JSON, or the text if it is no JSON. */
  readonly data: Data;
  /** The data as the server sent it. */
  readonly text: string;
  /** The stream's position after this event: a stream that starts there gets the next one. */
  readonly lastEventId: string;
}

/** Data of an `sse-reset`: the client has missed, or may have missed, events. */
export interface Reset {
  /** Why: `trimmed`, `unknown`, `overflow` or `fork`. */
  readonly reason: string;
  /** The channels of the stream. Load their state anew. */
  readonly channels: readonly string[];
}

/** Any event of a stream, by its type. Resets are among them: a loop must not miss that it has missed something. */
export type AnyEvent<Channels> =
  | {
      [Type in EventType<Channels>]: StreamEvent<Type, EventData<Channels, Type>>;
    }[EventType<Channels>]
  | StreamEvent<"sse-reset", Reset>;

/**
 * An event stream that comes back. A loop `for await (const event of stream)` gets every event from the moment at which it
 * begins, in order. It ends with the stream, with the error of the status if that is `unauthorized` or `refused`.
 */
export interface EventStream<Channels> extends AsyncIterable<AnyEvent<Channels>> {
  /** The present state of the stream. */
  readonly status: Status;
  /**
   * The position: the last event ID that was received. The next request reports it. Setting it does not reconnect. On a
   * stream that is shared it is a position of this tab alone, for the next `reopen`.
   *
   * @throws {TypeError} If it is set to a string with control characters.
   */
  lastEventId: string;
  /**
   * Listens for events of one type. An error of the listener is reported as uncaught, and does not disturb the stream.
   *
   * @param type - Event type; `message` for events without one.
   * @param listener - Gets the data, and the whole event.
   * @returns A function that removes the listener.
   */
  on<Type extends EventType<Channels>>(
    type: Type,
    listener: (
      data: EventData<Channels, Type>,
      event: StreamEvent<Type, EventData<Channels, Type>>,
    ) => void,
  ): () => void;
  /**
   * Listens for resets: events were missed, and the state that they lead to must be loaded anew.
   *
   * @returns A function that removes the listener.
   */
  onReset(listener: (reset: Reset, event: StreamEvent<"sse-reset", Reset>) => void): () => void;
  /**
   * Listens for changes of the status. `status` has the present one.
   *
   * @returns A function that removes the listener.
   */
  onStatus(listener: (status: Status) => void): () => void;
  /**
   * Opens the stream again at the same position, with other channels in its URL: no event is lost in between.
   *
   * @param url - Another URL; `undefined` for the present one.
   * @returns `false` if the stream is closed.
   * @throws {TypeError} If the URL is invalid.
   */
  reopen(url?: string | { readonly href: string }): boolean;
  /** Closes the stream. Loops end at once. Idempotent. */
  close(): void;
}
