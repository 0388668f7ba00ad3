import type { IncomingHttpHeaders } from "node:http";
import type { SharedFrames } from "../wire/shared-frames.js";
import type { HeaderTarget } from "../http/head.js";

/** What a session needs to know of the request that it answers. */
export interface SinkRequest {
  /** HTTP method. */
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  /** Headers, their names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** What a sink tells its session. */
export interface SinkListener {
  /** The head is out (or goes out with the first bytes): the body may begin. Called at most once. */
  sinkOpened(): void;
  /** The client took what `write` held back: the next bytes may follow. */
  sinkDrained(): void;
  /** The response has ended and its resources are free, whoever ended it. Called exactly once, last of all. */
  sinkClosed(by: "client" | "server"): void;
  /** The framework failed after the stream was started; it answers or ends the response itself. */
  fail(): void;
}

/**
 * What a session writes to: one HTTP response, whatever the framework and the version of HTTP.
 *
 * A sink MUST
 * - call `sinkOpened` after `start`, in the same turn or later, unless the response closed before;
 * - call `sinkClosed` exactly once, but never from inside its constructor, unless `isOver` was `true` from
 *   the start;
 * - take bytes whole and in order, and have them on their way to the client in the same tick, whatever
 *   compressor stands in between;
 * - return `false` from `write` when the next bytes should wait, and then call `sinkDrained` or `sinkClosed`.
 *
 * A sink MUST NOT
 * - throw, reject or emit because the client has left: `write` returns `false`, the rest does nothing;
 * - copy or change the bytes it is given: sessions share them;
 * - keep a timer.
 */
export interface Sink {
  /** The request that this response answers. */
  readonly request: SinkRequest;
  /** The request as the framework has it. */
  readonly context: unknown;
  /** The response's headers, until the head has gone out. */
  readonly headers: HeaderTarget;
  /** `true` once a head has gone out, by whomever. */
  readonly isHeadSent: boolean;
  /** `true` once nothing can reach the client any more. */
  readonly isClosed: boolean;
  /** `true` once `sinkClosed` has been called, or will not be because the response closed before the sink was made. */
  readonly isOver: boolean;
  /** Bytes that were written and that the socket has not taken yet. */
  readonly bufferedBytes: number;
  /** A number that changes whenever the socket takes bytes. Compare, do not add. */
  readonly progress: number;

  /** Names the one that is told of what happens. Called once, before anything else. */
  attach(listener: SinkListener): void;
  /** Commits the head with this status and the headers set so far. */
  start(status: number): void;
  /** Writes bytes of the body. Only between `sinkOpened` and `end`. */
  write(bytes: Uint8Array): boolean;
  /** As `write`, for frames that many sinks are given: one whose body goes out in chunks may write the chunk as it is. */
  writeShared(frames: SharedFrames): boolean;
  /** Ends the body, after what is buffered. */
  end(): void;
  /** Cuts the connection (the stream in HTTP/2) and drops what is buffered. */
  destroy(): void;
  /** Answers with this status, the headers set so far and no body, in place of a stream. */
  answer(status: number): void;
  /** Hands an error to the framework's own error handler, in place of a stream. */
  refuse(error: unknown): void;
}
