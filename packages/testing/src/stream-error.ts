/** The error of a stream under test: a wait that has failed, or an answer that is no stream. */

import type { IncomingHttpHeaders } from "node:http";

/** Facts that an error carries besides its message. */
export interface StreamErrorFacts {
  /** Everything that had happened until then, one line each. */
  readonly transcript: string;
  /** The answer that is no stream. */
  readonly answer?: { status: number; headers: IncomingHttpHeaders; body: string } | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** Where the caller called, as `stack` of an error made there. */
  readonly stack?: string | undefined;
}

/**
 * A wait that has failed, or an answer that is no event stream. Its message ends with the transcript of the stream: the
 * requests and everything that has arrived, with times.
 */
export class StreamError extends Error {
  override readonly name = "StreamError";
  /** Everything that had happened until then, one line each. */
  readonly transcript: string;
  /** Status of an answer that is no event stream; otherwise `undefined`. */
  readonly status: number | undefined;
  /** Headers of an answer that is no event stream; otherwise `undefined`. */
  readonly headers: IncomingHttpHeaders | undefined;
  /** Body of an answer that is no event stream, at most the first 64 KiB; otherwise `undefined`. */
  readonly body: string | undefined;

  /** @internal Made by the waits of this package. */
  constructor(message: string, { transcript, answer, cause, stack }: StreamErrorFacts) {
    super(`${message}\n\n${transcript}`, cause === undefined ? undefined : { cause });
    this.transcript = transcript;
    this.status = answer?.status;
    this.headers = answer?.headers;
    this.body = answer?.body;
    if (stack === undefined) return;
    const frames = stack.split("\n").filter((line) => line.startsWith("    at "));
    this.stack = [`${this.name}: ${this.message}`, ...frames].join("\n");
  }
}

/**
 * Remembers where a public function was called. Call it there before anything is awaited: the stack of an error that a
 * timer makes has no line of the test.
 *
 * @param caller - The public function.
 */
export function stackOf(caller: (...given: never[]) => unknown): string | undefined {
  const place: { stack?: string } = {};
  Error.captureStackTrace(place, caller);
  return place.stack;
}
