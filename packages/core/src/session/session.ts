/** The interface of an event stream that routes use: `res.sse`, `reply.sse`. */

import type { ChannelsOf } from "../options/channels.js";
import type { Subscribed } from "../options/presence.js";
import type { OpenOptions } from "../options/open.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import type { LastMessage, SseMessage } from "../wire/message.js";
import type { MapItem, StreamOptions } from "./pump.js";
import type { StreamSource } from "./source.js";

/** State of a session: not opened, opening, accepting messages, closed. */
export type SessionState = "idle" | "connecting" | "open" | "closed";

/**
 * Why a session closed.
 *
 * - `client`: the client left, or its connection broke
 * - `ended`: `close()` was called, the response was answered or ended elsewhere, or the request was a `HEAD`
 * - `completed`: `complete()` was called, or the client reconnected after it
 * - `slow`: the client did not read in time: `maxBufferedBytes` or `stallTimeoutMs`
 * - `expired`: reached `maxStreamMs`, or the `expiresAt` of its identity
 * - `shutdown`: `hub.close()`, whether the stream had opened or not
 * - `refused`: `Accept`, CORS, `maxSessions`, `maxSessionsPerIdentity` or `authorize` refused the stream, or a channel of
 *   an open one; or the client's credentials had expired
 * - `revoked`: `hub.disconnect()`, or `revalidate` did not allow it any more
 * - `replaced`: a newer session of the same identity took its place: `maxSessionsPerIdentity`
 * - `error`: a source, a snapshot, `authorize`, `identify`, `revalidate`, a write or the head failed, or a handler, if the framework reports it
 *   (Fastify does; Express destroys the connection, which reads as `client`)
 */
export type CloseReason =
  | "client"
  | "ended"
  | "completed"
  | "slow"
  | "expired"
  | "shutdown"
  | "refused"
  | "revoked"
  | "replaced"
  | "error";

/**
 * One event stream to one client, for any type of hub.
 *
 * @typeParam Owner - Type of the hub.
 * @typeParam Channels - Channels of the hub.
 * @typeParam Request - The framework's request type.
 */
export interface OwnedSession<Owner, Channels extends ChannelsOf<Channels>, Request> {
  /** The hub of the session. */
  readonly hub: Owner;

  /** The framework's request: `req` in Express, `request` in Fastify, otherwise the raw one. */
  readonly request: Request;

  /**
   * Identifies this session, for logs and for the application's own tables: 22 characters `A-Z a-z 0-9 _ -`.
   * Unguessable; made on first read.
   */
  readonly id: string;

  /**
   * The identity that the option `identify` has returned; `undefined` if there is none. The first read, `subscribe` or
   * `open` calls `identify`. Throws what `identify` throws.
   */
  readonly identity: string | undefined;

  /** When the stream opened, in milliseconds since 1970; `undefined` before. */
  readonly openedAt: number | undefined;

  /** State of the session. */
  readonly state: SessionState;

  /** Why the session closed; `undefined` while it is open. */
  readonly closeReason: CloseReason | undefined;

  /**
   * Whether the client names `text/event-stream` in `Accept`: for routes that serve both JSON and a stream.
   *
   * `false` for a wildcard, the default of `curl` and `fetch`.
   */
  readonly wantsEventStream: boolean;

  /**
   * The last event ID that the client reports, `""` if none: from the header `Last-Event-ID`, otherwise from the query
   * parameter `lastEventId`. Untrusted input from the network.
   *
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  readonly lastEventId: string;

  /**
   * Aborted when the session closes. Its `reason` is a `DOMException` named `AbortError` with the {@link CloseReason}
   * as its `cause`. Created on first read.
   *
   * Pass it to everything that the route waits for, such as `fetch`, a timer or a child process: only a signal
   * interrupts a generator that is stuck in an `await`. Listeners run in the async context of the first read.
   */
  readonly signal: AbortSignal;

  /** Bytes sent that the client's socket has not accepted yet. `0` once the session is closed. */
  readonly bufferedBytes: number;

  /**
   * Opens the stream: commits the head and sends the first bytes. `send`, `comment`, `stream` and `subscribe` do this
   * themselves. No effect if the stream is open.
   *
   * Some cases close the session without an exception: a client that does not accept event streams gets 406 from the
   * framework's error handler, one whose credentials have expired 401, a client that reconnects after `complete()` gets
   * 204, and a client beyond `maxSessions` or `maxSessionsPerIdentity` is turned away as described there.
   *
   * @param options - Status, headers and times of this stream.
   * @returns `true` if messages can be sent; `false` if the session is closed.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has already answered, or if options are given for an open
   *   stream.
   */
  open(options?: OpenOptions): boolean;

  /**
   * Sends one event to this client. It follows everything published earlier on the session's channels, unless the
   * client is behind, or a shared log has not delivered the event back yet. On a resuming stream with channels it also
   * waits for the `sse-cursor` or `sse-reset` with which the stream begins. Once the session is closed the message is
   * ignored, even an invalid one.
   *
   * @param message - The event; a string is short for `{ data: string }`.
   * @returns Settles when you may send the next message: at once while the client keeps up, so `await` provides
   *   back-pressure. `false` once the session is closed. Never rejects, never hangs.
   * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message is
   *   invalid; in that case nothing is written. On a stream that has subscribed, every `id` is reserved.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has already answered.
   */
  send(message: SseMessage | string): Promise<boolean>;

  /**
   * Sends a comment. Clients ignore it.
   *
   * @param text - Comment; may have several lines.
   * @returns Same as {@link Session.send}.
   * @throws {SseError} `ERR_SSE_INVALID_DATA` if `text` is not a string or is too large.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has already answered.
   */
  comment(text: string): Promise<boolean>;

  /**
   * Sends each item of a source as an event, at the client's pace.
   *
   * When the session closes, the source is stopped at once, even if it is idle: an iterator's `return()` is called, a
   * Node stream destroyed, a web stream cancelled. A generator that is waiting in an `await` notices only through
   * `signal`. The stream stays open when the source ends: call `complete()` or `close()` next.
   *
   * An Observable cannot be asked to wait: its items are sent as they arrive. Bytes that the client does not read count
   * against `maxBufferedBytes`; beyond that the session closes with `slow`. The session unsubscribes when it closes.
   *
   * @param source - Iterable, async iterable, Node stream, web stream or Observable. Bytes are decoded as one UTF-8 stream.
   * @param options - `map` turns an item into a message, `onSourceError` returns the last message after a failure; a
   *   function is short for `{ map }`.
   * @returns `true` once the source has ended and all of it was sent; `false` as soon as the session is closed. Rejects
   *   with the error of the source or `map`, after closing the session with `error`.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid: the promise rejects.
   */
  stream<Item>(
    source: StreamSource<Item>,
    options?: MapItem<Item> | StreamOptions<Item>,
  ): Promise<boolean>;

  /**
   * Joins channels: from here on the client gets everything published on them, in order.
   *
   * A client that reconnects with a last event ID gets a replay of what it missed or, if that is impossible, one
   * `sse-reset` event that names all its channels. The first call and all calls of the same turn (the synchronous code
   * and the promise jobs it leads to) take part, except later calls with a `snapshot`: their state is sent again.
   * Channels that join later are live from the call on, or from the moment `authorize` allows them. The call opens the
   * stream; a client that `authorize` refuses gets 403.
   *
   * With the option `presence`, `~presence:<channel>` shows who is present on a channel, with {@link PresenceEvents}. Each
   * stream begins with the present identities; `latest` and `snapshot` do not apply to it.
   *
   * @param channels - One name or several, each a string of 1 to 256 characters that does not begin with `~`, or
   *   `~presence:` and such a name.
   * @param options - State and past events for a new client, and how the stream opens.
   * @returns `true` once subscribed; `false` if the session is closed or `unsubscribe` has cancelled the call. Never
   *   rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or an option is invalid.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has already answered.
   * @throws {SseError} `ERR_SSE_ID_RESERVED` if the application has sent its own ids on this stream.
   */
  subscribe<Name extends keyof Channels & string>(
    channels: Subscribed<Name> | readonly Subscribed<Name>[],
    options?: SubscribeOptions<Channels[Name]>,
  ): Promise<boolean>;

  /**
   * Leaves channels. Once it returns, nothing more of them is written: no event, whether published before or after, no
   * `latest`, no `snapshot`. A `subscribe` that `authorize` has not decided yet is cancelled. Bytes already in the
   * socket may still arrive.
   *
   * @param channels - One name or several; channels that were not joined are ignored.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name is invalid.
   */
  unsubscribe(
    channels: Subscribed<keyof Channels & string> | readonly Subscribed<keyof Channels & string>[],
  ): void;

  /**
   * Ends the stream; the client will reconnect. An idle session is opened first, so that the client gets an answer.
   * Idempotent.
   */
  close(): void;

  /**
   * Ends the stream and tells the client not to reconnect: `EventSource` reconnects one last time with the id of the
   * last event, gets 204 and stops for good. A session that has subscribed, or waits for `authorize`, first gets
   * everything published on its channels so far. A session that has not opened is answered 204, unless there is a last
   * message.
   *
   * @param last - The last message of the stream, such as `"[DONE]"`. Absent: clients that name `text/event-stream` in
   *   a `GET` get an `sse-complete` event, all others only the end.
   * @returns `true` once the socket was given the last bytes; `false` if the client left first or the session was
   *   closed. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message is
   *   invalid: it cannot have an `id`. The stream stays open.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if there is a last message and the route has already answered.
   */
  complete(last?: LastMessage | string): Promise<boolean>;

  /**
   * Calls a function once when the session closes, or at once if it is closed. The function runs in the async context
   * of this call.
   *
   * @param fn - Receives the reason. An error that it throws goes to the option `onError`.
   * @returns A function that removes the listener. Idempotent.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `fn` is not a function.
   */
  onClose(fn: (reason: CloseReason) => void): () => void;
}
