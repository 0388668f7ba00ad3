/** The types of messages, and the reserved names. */

/**
 * One event for the client, as the application writes it.
 *
 * `data` becomes the client's `event.data`: a string is sent verbatim, other values pass through the `serialize` option
 * (JSON by default). A message without `data` sets only `id` or `retry`: the client dispatches no event for it, so it
 * cannot have an `event`.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export type SseMessage<Data = unknown> =
  | (MessageFields & {
      /** The event's data. Strings are sent verbatim, with line breaks as CRLF, CR or LF; `""` is dispatched too. */
      readonly data: Data;
      /** Event type: the name given to `addEventListener`. Absent: `"message"`. Not empty, no line break, not `sse-…`. */
      readonly event?: string | undefined;
    })
  | (MessageFields & { readonly data?: undefined; readonly event?: undefined } & (
        | { readonly id: string }
        | { readonly retry: number }
      ));

/**
 * The last message of a stream, for `complete`. It cannot have an id, because a reserved id marks a client that
 * reconnects.
 */
export interface LastMessage<Data = unknown> {
  /** As in {@link SseMessage}. */
  readonly data: Data;
  /** As in {@link SseMessage}. */
  readonly event?: string | undefined;
  /** Reconnection time in milliseconds, a whole number from 0 to 2 147 483 647. */
  readonly retry?: number | undefined;
  /** Not allowed: the id is reserved. */
  readonly id?: undefined;
}

interface MessageFields {
  /**
   * At most 1 024 bytes, without control characters or surrounding spaces, so that IDs of other systems can be relayed.
   * `""` resets the client's last event ID.
   */
  readonly id?: string | undefined;
  /** Reconnection time in milliseconds, a whole number from 0 to 2 147 483 647. */
  readonly retry?: number | undefined;
}

/**
 * A message whose data is already text, as the encoder accepts it.
 */
export interface EventMessage {
  /** Event type; `undefined` omits the field. */
  readonly event?: string | undefined;
  /** Event id; `undefined` omits the field, `""` resets the client's last event ID. */
  readonly id?: string | undefined;
  /** Reconnection time in milliseconds; `undefined` omits the field. */
  readonly retry?: number | undefined;
  /** Data, one field per line; `undefined` omits the field. */
  readonly data?: string | undefined;
}

/** Id sent by `complete()`. A request that reports it is answered 204, which stops `EventSource`. */
export const COMPLETE_ID = "~end";

/** Event types with this prefix are reserved: `sse-cursor`, `sse-reset`, `sse-complete`, `sse-retry`. */
export const RESERVED_EVENT_PREFIX = "sse-";
