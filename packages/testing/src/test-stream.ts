/** The handle of one stream under test, over all its connections. */

import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { ChannelMap, ChannelsOf } from "@tidewire/core";
import type { AnyEvent, EventOf, EventType } from "./channels.js";
import { startTimer, stopTimer } from "./clock.js";
import type { Connect, Connection, Cut } from "./connection.js";
import { addDisposeSymbols } from "./dispose.js";
import { EventParser } from "./event-parser.js";
import { checkMs, deadlineOf } from "./options.js";
import type { StreamRequest, WaitOptions } from "./options.js";
import { Received } from "./received.js";
import type { StreamReset } from "./received.js";
import { StreamError, stackOf } from "./stream-error.js";
import type { StreamErrorFacts } from "./stream-error.js";
import { Transcript, excerpt } from "./transcript.js";
import { Waits } from "./waits.js";
import type { Wait } from "./waits.js";

addDisposeSymbols();

/** A head without a body counts as an open stream after this time. Tidewire sends the first bytes together with it. */
const HEAD_ALONE_MS = 50;
/** Most characters of an answer that is no stream. */
const MOST_BODY = 65_536;

/** How a stream has ended: in order, or with a connection that broke. */
export type StreamEnd = "end" | "cut";

/** Options of `resume`. */
export interface ResumeOptions extends WaitOptions {
  /**
   * The last event ID to report; `""` for none.
   *
   * @defaultValue that of the stream
   */
  readonly lastEventId?: string | undefined;
}

/** The request of a stream, and its way to the server. */
export interface StreamParts {
  readonly connect: Connect;
  readonly request: StreamRequest;
  readonly url: string;
  readonly lastEventId: string;
  readonly subscribed: boolean;
  readonly withinMs: number;
  /** Gives the server back. */
  readonly leave: () => Promise<void>;
}

/**
 * One stream under test. It records everything that arrives, over all connections, and hands events on one by one.
 *
 * Every wait has a deadline, and rejects with a {@link StreamError} that prints what has arrived. A wait also rejects as
 * soon as the stream ends without the awaited thing.
 *
 * @typeParam Channels - Channels of the application with their event and data types, for the compiler only.
 */
export class TestStream<Channels extends ChannelsOf<Channels> = ChannelMap> {
  /** URL of the stream. `new URL("/other", stream.url)` is another route of the same server. */
  readonly url: string;
  readonly #parts: StreamParts;
  readonly #transcript = new Transcript();
  readonly #waits = new Waits((message, stack) => this.#error(message, { stack }));
  readonly #received: Received<Channels>;
  #isStalled = false;
  #isClosed = false;
  #connections = 0;
  /** `undefined` exactly while the stream is not open. */
  #connection: Connection | undefined;
  /** How the last connection ended. */
  #end: StreamEnd | undefined;
  /** @internal Streams are made by `openStream` and `injectStream`. */
  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.url = parts.url;
    this.#received = new Received(parts.lastEventId, this.#transcript);
  }

  /** Every event so far, taken or not, without Tidewire's own (`sse-…`). */
  get events(): readonly AnyEvent<Channels>[] {
    return this.#received.events;
  }

  /** Every `sse-reset` so far. */
  get resets(): readonly StreamReset[] {
    return this.#received.resets;
  }

  /** The text of every comment so far; a heartbeat is `""`. */
  get comments(): readonly string[] {
    return this.#received.comments;
  }

  /** The last event ID, which `resume` reports. `""` if there is none. */
  get lastEventId(): string {
    return this.#received.lastEventId;
  }

  /** The last reconnection time, in milliseconds; `undefined` if the stream has sent none. */
  get retry(): number | undefined {
    return this.#received.retry;
  }

  /** How long the stream may be silent, as its first cursor says; `false` without heartbeats, `undefined` without a cursor. */
  get heartbeatMs(): number | false | undefined {
    return this.#received.heartbeatMs;
  }

  /** Whether the server has completed the stream: an `EventSource` would give up when it comes back. */
  get completed(): boolean {
    return this.#received.isCompleted;
  }

  /** Whether the stream is connected. */
  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  /** Number of connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Headers of the last head. */
  headers: IncomingHttpHeaders = {};

  /** Everything that has happened so far, one line each, as errors print it. */
  get transcript(): string {
    return this.#transcript.toString();
  }

  /**
   * Takes the next event that was not taken yet.
   *
   * @param type - Event type. Events of other types stay for later calls. `undefined`: any type.
   * @param options - A deadline.
   * @returns The event. Rejects if it does not come in time, or the stream ends or is cut before.
   */
  next<Type extends EventType<Channels>>(
    type: Type,
    options?: WaitOptions,
  ): Promise<EventOf<Channels, Type>>;
  next(type?: undefined, options?: WaitOptions): Promise<AnyEvent<Channels>>;
  async next(type?: string, options: WaitOptions = {}): Promise<AnyEvent<Channels>> {
    return this.#wait(
      {
        what: type === undefined ? "event" : `event "${type}"`,
        look: () => {
          const at = this.#received.untaken.findIndex(
            ({ event }) => type === undefined || event === type,
          );
          const [value] = at === -1 ? [] : this.#received.untaken.splice(at, 1);
          return value === undefined ? undefined : { value };
        },
      },
      options,
      this.next,
    );
  }

  /**
   * Takes the next `sse-reset` that was not taken yet.
   *
   * @returns The reset. Rejects as `next` does.
   */
  async nextReset(options: WaitOptions = {}): Promise<StreamReset> {
    const look = (): { value: StreamReset } | undefined => {
      const value = this.#received.untakenResets.shift();
      return value === undefined ? undefined : { value };
    };
    return this.#wait({ what: "sse-reset", look }, options, this.nextReset);
  }

  /**
   * Waits for a sign of life that arrives from now on: a comment, or a cursor, which the server may send in its place.
   *
   * The usual deadline is shorter than the usual heartbeat of 15 seconds: set `heartbeatMs` of the hub under test, or use
   * fake timers.
   *
   * @returns Rejects as `next` does.
   */
  async heartbeat(options: WaitOptions = {}): Promise<void> {
    const before = this.#received.signs;
    const hint =
      this.#received.heartbeatMs === undefined
        ? ""
        : ` (heartbeatMs: ${this.#received.heartbeatMs})`;
    await this.#wait(
      {
        what: `heartbeat${hint}`,
        look: () => (this.#received.signs > before ? { value: true } : undefined),
      },
      options,
      this.heartbeat,
    );
  }

  /**
   * Waits for the end of this connection.
   *
   * @returns `"end"` if the server has ended the stream in order, `"cut"` if the connection broke, also by `cut()`.
   *   {@link TestStream.completed} says whether a client would come back. Rejects at the deadline.
   */
  async ended(options: WaitOptions = {}): Promise<StreamEnd> {
    const look = (): { value: StreamEnd } | undefined =>
      this.#end === undefined ? undefined : { value: this.#end };
    return this.#wait({ what: "end of the stream", look }, options, this.ended);
  }

  /**
   * Checks that no event and no reset arrives, and that all earlier ones were taken. Comments and cursors may arrive.
   *
   * @param ms - How long to watch, in milliseconds.
   * @returns Rejects at once if one comes, and if the stream is not open or ends.
   */
  async quiet(ms: number): Promise<void> {
    checkMs("ms", ms);
    const stack = stackOf(this.quiet);
    let isOver = false;
    const timer = startTimer(() => {
      isOver = true;
      this.#waits.changed();
    }, ms);
    try {
      await this.#waits.wait(
        {
          what: "quiet",
          // The timer above ends the wait.
          withinMs: ms + 60_000,
          look: () => {
            const [event] = this.#received.untaken;
            const [reset] = this.#received.untakenResets;
            if (event !== undefined) return `Expected ${ms} ms of quiet, got "${event.event}"`;
            if (reset !== undefined) return `Expected ${ms} ms of quiet, got sse-reset`;
            return isOver ? { value: true } : this.#whyOver(`Expected ${ms} ms of quiet`);
          },
        },
        stack,
      );
    } finally {
      stopTimer(timer);
    }
  }

  /**
   * Cuts the connection. Whatever has not arrived is lost, as for a browser that loses its network.
   *
   * @param how - `"fin"`: as a closed tab. `"rst"`: as a broken connection. The same without a socket.
   * @defaultValue `"fin"`
   */
  cut(how: Cut = "fin"): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#transcript.add(`cut (${how})`);
    this.#over("cut");
    connection.cut(how);
  }

  /**
   * Connects again and reports the last event ID, as a client that comes back. An open connection is cut first.
   *
   * @returns Settles as `openStream` does.
   */
  async resume(options: ResumeOptions = {}): Promise<void> {
    const stack = stackOf(this.resume);
    const { lastEventId = this.#received.lastEventId, ...others } = options;
    const withinMs = deadlineOf(others, this.#parts.withinMs);
    this.cut();
    await this.connect(lastEventId, withinMs, stack);
  }

  /** Stops reading, as a client that hangs. The server notices once the buffers on the way, some MiB, are full. */
  stall(): void {
    if (this.#isStalled || this.#connection === undefined) return;
    this.#transcript.add("stalled");
    this.#isStalled = true;
    this.#connection.body.pause();
  }

  /** Reads again after `stall`. */
  drain(): void {
    if (!this.#isStalled) return;
    this.#transcript.add("drained");
    this.#isStalled = false;
    this.#connection?.body.resume();
  }

  /**
   * Leaves the stream, and closes the server if `openStream` has made it listen and no other stream uses it. Idempotent.
   *
   * @returns Never rejects.
   */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#transcript.add("closed");
      this.#isClosed = true;
      const connection = this.#connection;
      this.#over("cut");
      connection?.cut("fin");
    }
    await this.#parts.leave();
  }

  /** Same as `close`: `await using stream = await openStream(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  async connect(lastEventId: string, withinMs: number, stack: string | undefined): Promise<void> {
    if (this.#isClosed) throw this.#error("The stream is closed", { stack });
    const { connect, request, subscribed } = this.#parts;
    const id = lastEventId === "" ? "" : `, Last-Event-ID: ${excerpt(lastEventId)}`;
    this.#transcript.add(`${request.method} ${request.path}${id}`);
    this.#received.begin(lastEventId);
    this.#connections += 1;
    this.#end = undefined;
    this.#isStalled = false;
    // Bytes of the header, which Node takes as latin1.
    const header = Buffer.from(lastEventId, "utf8").toString("latin1");
    const headers = id === "" ? request.headers : { ...request.headers, "last-event-id": header };
    const connection = await this.#within(withinMs, "answer", stack, (signal) =>
      connect({ ...request, headers }, signal),
    );
    const { status, body } = connection;
    this.headers = connection.headers;
    const type = connection.headers["content-type"];
    this.#transcript.add(`${status} ${type ?? "without a content type"}`);
    if (status !== 200 || type?.startsWith("text/event-stream") !== true) {
      const text = await readText(body, withinMs);
      if (text !== "") this.#transcript.add(excerpt(text));
      this.#over("end");
      connection.cut("fin");
      throw this.#error(
        `Expected an event stream, got ${status}${text === "" ? "" : `: ${excerpt(text)}`}`,
        {
          stack,
          answer: { status, headers: connection.headers, body: text },
        },
      );
    }
    this.#read(connection);
    await this.#untilOpen(subscribed, withinMs, stack);
  }

  #read(connection: Connection): void {
    const { body } = connection;
    this.#connection = connection;
    const parser = new EventParser(this.#received);
    // A connection that is cut may still hand on what it has read.
    const isCurrent = (): boolean => this.#connection === connection;
    body.on("data", (bytes: Buffer) => {
      if (!isCurrent()) return;
      parser.push(bytes);
      this.#waits.changed();
    });
    body.on("error", () => {});
    let isWhole = false;
    body.on("end", () => {
      isWhole = true;
    });
    body.on("close", () => {
      if (!isCurrent()) return;
      this.#transcript.add(
        isWhole ? "the server has ended the stream" : "the connection has broken",
      );
      this.#over(isWhole ? "end" : "cut");
    });
  }

  async #untilOpen(
    subscribed: boolean,
    withinMs: number,
    stack: string | undefined,
  ): Promise<void> {
    const alone = startTimer(() => {
      this.#received.hasBegun = true;
      this.#waits.changed();
    }, HEAD_ALONE_MS);
    const what = "sse-cursor, sse-reset or event: the stream has not subscribed";
    const look = (): { value: true } | string | undefined => {
      if (this.#received.isSubscribed || (!subscribed && this.#received.hasBegun))
        return { value: true };
      if (this.#end === undefined) return undefined;
      return subscribed ? "The stream has ended before it has subscribed" : { value: true };
    };
    try {
      await this.#waits.wait({ what, withinMs, look }, stack);
    } catch (error) {
      this.cut();
      throw error;
    } finally {
      stopTimer(alone);
    }
  }

  #over(end: StreamEnd): void {
    this.#connection = undefined;
    this.#end = end;
    this.#waits.changed();
  }

  async #wait<T>(
    { what, look }: Pick<Wait<T>, "what" | "look">,
    options: WaitOptions,
    caller: (...given: never[]) => unknown,
  ): Promise<T> {
    const withinMs = deadlineOf(options, this.#parts.withinMs);
    const lookOrFail = (): ReturnType<Wait<T>["look"]> => look() ?? this.#whyOver(`No ${what}`);
    return this.#waits.wait({ what, withinMs, look: lookOrFail }, stackOf(caller));
  }

  /** @returns Why nothing more can arrive; `undefined` if something may. */
  #whyOver(what: string): string | undefined {
    if (this.#isClosed) return `${what}: the stream is closed`;
    if (this.#end === "end") return `${what}: the server has ended the stream`;
    if (this.#end === "cut") return `${what}: the connection is cut, and resume() was not called`;
    return undefined;
  }

  async #within<T>(
    withinMs: number,
    what: string,
    stack: string | undefined,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const abort = new AbortController();
    let timer: ReturnType<typeof startTimer> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = startTimer(() => {
        reject(this.#error(`No ${what} within ${withinMs} ms`, { stack }));
        abort.abort();
      }, withinMs);
    });
    try {
      return await Promise.race([begin(abort.signal), late]);
    } catch (cause) {
      this.#over("cut");
      if (cause instanceof StreamError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw this.#error(`No ${what}: ${reason}`, { stack, cause });
    } finally {
      stopTimer(timer);
    }
  }

  #error(message: string, facts: Omit<StreamErrorFacts, "transcript">): StreamError {
    const [reset] = this.#received.untakenResets;
    const stalled = this.#isStalled ? " (the stream is stalled: call drain())" : "";
    const missed = reset === undefined ? "" : ` (an sse-reset was not taken: ${reset.reason})`;
    return new StreamError(`${message}${stalled}${missed}`, {
      transcript: this.transcript,
      ...facts,
    });
  }
}

/** Reads the body of an answer that is no event stream, as far as it arrives in time. Never rejects. */
async function readText(body: Readable, withinMs: number): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  // The answer may be a stream of another type, which does not end.
  const timer = startTimer(() => body.destroy(), withinMs);
  try {
    for await (const bytes of body as AsyncIterable<Buffer>) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > MOST_BODY) break;
    }
  } catch {
    // Broken or late: the beginning says enough.
  } finally {
    stopTimer(timer);
  }
  return text.slice(0, MOST_BODY);
}
