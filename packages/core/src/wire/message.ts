/** The shape of a message, and the names that are reserved. */

/**
 * One event for the client, as an application writes it.
 *
 * `data` is what the client's `event.data` will be: a string goes out verbatim, anything else through
 * the `serialize` option (JSON by default). A message without `data` sets only `id` or `retry`: the
 * client does not dispatch an event for it, so it cannot have an `event`.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export type SseMessage<Data = unknown> =
  | (MessageFields & {
      /** The event's data. Strings verbatim, with line breaks as CRLF, CR or LF; `""` is dispatched too. */
      readonly data: Data;
      /** Event type: the name given to `addEventListener`. Absent: `"message"`. Not empty, no line break, not `sse-…`. */
      readonly event?: string | undefined;
    })
  | (MessageFields & { readonly data?: undefined; readonly event?: undefined } & (
        | { readonly id: string }
        | { readonly retry: number }
      ));

/** The last message of a stream, for `complete`. It has no id of its own: that is how a client that comes back is recognized. */
export interface LastMessage<Data = unknown> {
  /** As in {@link SseMessage}. */
  readonly data: Data;
  /** As in {@link SseMessage}. */
  readonly event?: string | undefined;
  /** Reconnection time in milliseconds, a whole number from 0 to 2 147 483 647. */
  readonly retry?: number | undefined;
  /** Reserved. */
  readonly id?: undefined;
}

interface MessageFields {
  /**
   * At most 1 024 bytes without control characters and without spaces around it, so that IDs of other systems can be
   * relayed. `""` resets the client's last event ID.
   */
  readonly id?: string | undefined;
  /** Reconnection time in milliseconds, a whole number from 0 to 2 147 483 647. */
  readonly retry?: number | undefined;
}

/**
 * A message whose data is text already: what the encoder takes.
 */
export interface EventMessage {
  /** Event type; `undefined` leaves the field out. */
  readonly event?: string | undefined;
  /** Event id; `undefined` leaves the field out, `""` resets the client's last event ID. */
  readonly id?: string | undefined;
  /** Reconnection time in milliseconds; `undefined` leaves the field out. */
  readonly retry?: number | undefined;
  /** Data, one field per line; `undefined` leaves the field out. */
  readonly data?: string | undefined;
}

/** Id that `complete()` sends; a request that comes back with it is answered 204, which stops `EventSource`. */
export const COMPLETE_ID = "~end";

/** Event types with this prefix are reserved: `sse-cursor`, `sse-reset`, `sse-complete`, `sse-retry`. */
export const RESERVED_EVENT_PREFIX = "sse-";
