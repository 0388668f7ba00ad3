/** What a route sees of one event stream: `res.sse`, `reply.sse`. */

import type { ChannelsOf } from "../options/channels.js";
import type { OpenOptions } from "../options/open.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import type { LastMessage, SseMessage } from "../wire/message.js";
import type { MapItem, StreamOptions } from "./pump.js";
import type { StreamSource } from "./source.js";

/** Where a session stands: not opened, opening, taking messages, over. */
export type SessionState = "idle" | "connecting" | "open" | "closed";

/**
 * Why a session closed.
 *
 * - `client`: the client left, or its connection broke
 * - `ended`: `close()`, or somebody else answered or ended the response, or the request was a `HEAD`
 * - `completed`: `complete()`, or the client came back after it
 * - `slow`: the client did not take what was sent: `maxBufferedBytes` or `stallTimeoutMs`
 * - `expired`: `maxStreamMs`
 * - `shutdown`: `hub.close()`, before or after the stream was opened
 * - `refused`: `Accept`, CORS, `maxSessions` or `authorize` has refused the stream, or a channel of an open one
 * - `error`: a source, a snapshot, `authorize`, a write or the head failed, or the handler as far as the framework tells
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
  | "error";

/**
 * One event stream to one client, whatever its hub is.
 *
 * @typeParam Owner - Type of the hub.
 * @typeParam Channels - Channels of the hub.
 * @typeParam Request - Type of the request that the framework has.
 */
export interface OwnedSession<Owner, Channels extends ChannelsOf<Channels>, Request> {
  /** The hub that the session belongs to. */
  readonly hub: Owner;

  /** The request as the framework has it: `req` of Express, `request` of Fastify, otherwise the raw one. */
  readonly request: Request;

  /** Where the session stands. */
  readonly state: SessionState;

  /** Why the session closed; `undefined` while it has not. */
  readonly closeReason: CloseReason | undefined;

  /**
   * Whether the client asks for an event stream by name: for routes that serve both JSON and a stream.
   *
   * `false` for a wildcard, which `curl` and `fetch` send by default.
   */
  readonly wantsEventStream: boolean;

  /**
   * The last event ID that the client reports, `""` if none: the `Last-Event-ID` header, otherwise the query parameter
   * `lastEventId`. It comes from the network and may be anything.
   *
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  readonly lastEventId: string;

  /**
   * Aborted when the session closes. Its `reason` is a `DOMException` named `AbortError`, which has the
   * {@link CloseReason} as its `cause`. Made on first read.
   *
   * Pass it to whatever the route waits for, such as `fetch`, a timer or a child process: only a signal wakes a generator
   * that is stuck in an `await`. Its listeners run in the async context in which it was first read.
   */
  readonly signal: AbortSignal;

  /** Bytes that were sent and that the client's socket has not taken yet. `0` once the session is closed. */
  readonly bufferedBytes: number;

  /**
   * Opens the stream: commits the head and sends the first bytes. `send`, `comment`, `stream` and `subscribe` do it by
   * themselves; opening an open stream does nothing.
   *
   * A client that does not accept event streams is answered 406 by the framework's error handler, one that comes back
   * after `complete()` with 204, one too many as `maxSessions` says: these close the session and are not exceptions.
   *
   * @param options - Status, headers and times of this stream.
   * @returns `true` if messages will reach the client; `false` if the session is closed.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already, or if options are given for an open
   *   stream.
   */
  open(options?: OpenOptions): boolean;

  /**
   * Sends one event to this client. It comes after everything published before it on the channels of this session,
   * unless the client is behind, or a log that many processes share has yet to hand the event back. On a stream that has
   * subscribed and resumes, it also waits for the `sse-cursor` or `sse-reset` with which the stream begins. Once the
   * session is closed the message is ignored, mistakes included.
   *
   * @param message - The event, or a string that stands for `{ data: string }`.
   * @returns Settles when the next message may follow: at once while the client keeps up, so that `await` is
   *   back-pressure. `false` once the session is closed. Never rejects, never hangs.
   * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message is
   *   invalid; nothing has been written then. On a stream that has subscribed every `id` is reserved.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   */
  send(message: SseMessage | string): Promise<boolean>;

  /**
   * Sends a comment, which the client ignores.
   *
   * @param text - Comment; it may have several lines.
   * @returns As {@link Session.send}.
   * @throws {SseError} `ERR_SSE_INVALID_DATA` if `text` is not a string or is too large.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   */
  comment(text: string): Promise<boolean>;

  /**
   * Sends each item of a source as an event, as fast as the client takes them and no faster.
   *
   * When the session closes, the source is told at once, even while it is idle: an iterator's `return()` is called, a
   * Node stream destroyed, a web stream cancelled. A generator that waits in an `await` of its own hears of it only
   * through `signal`. The stream stays open when the source ends: follow with `complete()` or `close()`.
   *
   * An Observable cannot be asked to wait: its items are sent as they come, and what the client does not take counts against
   * `maxBufferedBytes`, past which the session closes with `slow`. It is unsubscribed from when the session closes.
   *
   * @param source - Iterable, async iterable, Node stream, web stream or Observable. Bytes are decoded as one UTF-8 stream.
   * @param options - `map` makes a message of an item, and `onSourceError` the last one of a source that has failed; a
   *   function stands for `{ map }`.
   * @returns `true` when the source is exhausted and all of it was sent; `false` as soon as the session is closed.
   *   Rejects with what the source or `map` threw; the session is closed with `error` then.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid: it rejects.
   */
  stream<Item>(
    source: StreamSource<Item>,
    options?: MapItem<Item> | StreamOptions<Item>,
  ): Promise<boolean>;

  /**
   * Joins channels: from here on the client gets what is published on them, in order.
   *
   * A client that comes back with a last event ID is replayed what it missed, or gets one `sse-reset` event that names
   * all its channels if that is impossible. The first call and all calls of the same turn (the synchronous code and the
   * promise jobs it leads to) take part, except those after the first that have a `snapshot`: their state is sent anew.
   * Channels that join later are live from the call on, or from the moment `authorize` allows them. The stream is
   * opened; a client that `authorize` turns away gets 403.
   *
   * @param channels - One name or several, each a string of 1 to 256 characters that does not begin with `~`.
   * @param options - What a client gets that comes for the first time.
   * @returns `true` once subscribed; `false` if the session is closed, or `unsubscribe` has cancelled the call. Never
   *   rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or an option is invalid.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if the route has answered already.
   * @throws {SseError} `ERR_SSE_ID_RESERVED` if ids of the application's own were sent on this stream.
   */
  subscribe<Name extends keyof Channels & string>(
    channels: Name | readonly Name[],
    options?: SubscribeOptions<Channels[Name]>,
  ): Promise<boolean>;

  /**
   * Leaves channels. Once it returns, nothing of them is written any more: no event, whether published before or after,
   * no `latest`, no `snapshot`. A `subscribe` that `authorize` has yet to decide is cancelled. Bytes that the socket
   * already holds may still arrive.
   *
   * @param channels - One name or several; those that were not joined are ignored.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name is invalid.
   */
  unsubscribe(channels: (keyof Channels & string) | readonly (keyof Channels & string)[]): void;

  /**
   * Ends the stream; the client will come back. An idle session is opened first, so that the client has an answer.
   * Idempotent.
   */
  close(): void;

  /**
   * Ends the stream and tells the client not to come back: `EventSource` reconnects once more with the id of the last
   * event and is answered 204, which stops it for good. A session that has subscribed, or waits for `authorize` to
   * decide, first gets everything that was published on its channels until now. A session that has not opened is
   * answered 204, unless there is a last message.
   *
   * @param last - The last message of the stream, such as `"[DONE]"`. Absent: clients that name `text/event-stream` in a
   *   `GET` get an `sse-complete` event, all others just the end.
   * @returns `true` once the socket was handed the last bytes; `false` if the client left before, or the session was
   *   closed. Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or `ERR_SSE_ID_RESERVED` if the message is
   *   invalid; the stream goes on then. It cannot have an `id`.
   * @throws {SseError} `ERR_SSE_HEADERS_SENT` if there is a last message and the route has answered already.
   */
  complete(last?: LastMessage | string): Promise<boolean>;

  /**
   * Calls a function once when the session closes; at once if it is closed already. It runs in the async context of
   * this call.
   *
   * @param fn - Receives the reason. What it throws goes to the option `onError`.
   * @returns Takes the function back. Idempotent.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `fn` is not a function.
   */
  onClose(fn: (reason: CloseReason) => void): () => void;
}
