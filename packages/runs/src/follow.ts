/** Sends a run to a session, from its beginning or from where the client was. */

import { SseError, isSseError } from "@tidewire/core";
import type { ChannelMap, LastMessage, OwnedSession } from "@tidewire/core";
import { atLeast, describeValue, sendSerialized, unexpected } from "@tidewire/core/adapter";
import { checkOptions } from "./check-options.js";
import { openCursor } from "./cursor.js";
import type { Cursor } from "./cursor.js";
import type { RunErrorStage } from "./options.js";
import type { RunEnd } from "./tape.js";
import type { Tapes } from "./tapes.js";

/** The parts of a session that `follow` uses: every session of Express, Fastify and plain `node:http` has them. */
export type FollowingSession = Pick<
  OwnedSession<unknown, ChannelMap, unknown>,
  | "close"
  | "closeReason"
  | "complete"
  | "lastEventId"
  | "onClose"
  | "open"
  | "send"
  | "state"
  | "wantsEventStream"
>;

/** Options of `follow`. */
export interface FollowOptions {
  /**
   * Returns the last message for the client. It follows the last item, and the client does not reconnect after it. A function that throws, or returns a message that cannot be sent, makes `follow` reject.
   *
   * @param end - How the run ended. `error` may contain details that clients should not see.
   * @returns The message; `undefined` for none.
   * @defaultValue no message: `EventSource` gets `sse-complete`, all others only the end of the stream
   */
  readonly end?: ((end: RunEnd) => LastMessage | string | undefined) | undefined;
  /**
   * The last item that the client has: its id, or its number in the run. The number may be text such as `"17"`, as it
   * stands in a query. `""` and 0 stand for the beginning. Any other text is the position of no run: the answer is 204.
   * A number below 0 or `NaN` is an error with status 400.
   *
   * @defaultValue the last event ID that the client reports
   */
  readonly after?: string | number | undefined;
}

/** The parts of runs that followers and readers share. */
export interface FollowParts {
  readonly tapes: Tapes;
  /** Wakes the followers of this process once the runs are closed. */
  readonly followers: Set<() => void>;
  /** A loop over `read` is under way from now on, or no more. */
  readonly reading: (change: 1 | -1) => void;
  /** Whether the runs are closed, or their store is being closed: tapes get no more items. */
  readonly isClosed: () => boolean;
  readonly report: (error: unknown, stage: RunErrorStage, key: string) => void;
}

/**
 * Follows a run with a session.
 *
 * @returns Same as `Runs.follow`.
 */
export async function follow(
  parts: FollowParts,
  key: string,
  session: FollowingSession,
  { end, after }: FollowOptions,
): Promise<boolean> {
  if (session.closeReason !== undefined) return false;
  const cursor = await openFor(parts, key, session, after);
  if (cursor === undefined) return false;
  const last = await play(parts, cursor, session);
  if (last === undefined) return false;
  try {
    return await session.complete(end?.(last));
  } catch (error) {
    // The client would reconnect, and get the same error.
    await session.complete();
    throw error;
  }
}

/** @returns The cursor; `undefined` if the client has got another answer. */
async function openFor(
  { tapes, isClosed, report }: FollowParts,
  key: string,
  session: FollowingSession,
  after: string | number | undefined,
): Promise<Cursor | undefined> {
  try {
    if (isClosed()) throw closedError();
    const position = after === undefined ? session.lastEventId : positionOf(after);
    const cursor = await openCursor(tapes, key, position);
    if (cursor === undefined) await session.complete();
    return cursor;
  } catch (error) {
    const isDeploy = isClosed();
    // One 503 makes EventSource give up for good. After an empty stream it reconnects.
    const reconnects = session.wantsEventStream || session.state !== "idle";
    if (!reconnects) throw isDeploy ? closedError() : error;
    if (!isDeploy) report(error, "tapes", key);
    session.close();
    return undefined;
  }
}

/** Sends what is on the tape, and what comes. @returns The end of the run; `undefined` if the session closed first. */
async function play(
  { followers, isClosed }: FollowParts,
  cursor: Cursor,
  session: FollowingSession,
): Promise<RunEnd | undefined> {
  const forget = session.onClose(cursor.wake);
  followers.add(cursor.wake);
  try {
    // The client is connected even if there is nothing for it yet.
    if (!cursor.hasNext && cursor.end === undefined && !session.open()) return undefined;
    for (;;) {
      for (let placed = cursor.next(); placed !== undefined; placed = cursor.next()) {
        const { id, item } = placed;
        const { event, data, retry } = item;
        if (!(await sendSerialized(session, { event, data, retry, id }))) return undefined;
      }
      if (session.closeReason !== undefined) return undefined;
      const { end } = cursor;
      if (end !== undefined) return end;
      if (cursor.hasNext) continue;
      if (isClosed()) {
        session.close();
        return undefined;
      }
      await cursor.wait();
    }
  } catch (error) {
    // A client that reconnects would get the same item, and fail again.
    await session.complete();
    throw isSseError(error) && error.code === "ERR_SSE_ID_RESERVED" ? hasChannels(error) : error;
  } finally {
    followers.delete(cursor.wake);
    forget();
    cursor.close();
  }
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the session or an option is invalid. */
export function checkFollowOptions(session: FollowingSession, options: FollowOptions): void {
  if (typeof session !== "object" || typeof session?.complete !== "function") {
    throw unexpected("session", "a session such as `res.sse`", session);
  }
  checkOptions("follow", options, ["end", "after"]);
  const { end, after } = options;
  if (end !== undefined && typeof end !== "function") throw unexpected("end", "a function", end);
  checkAfter(after);
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the option `after` is invalid. */
export function checkAfter(after: unknown): void {
  if (after === undefined || typeof after === "string") return;
  const expected = atLeast(0, after, "an id or ");
  if (expected === undefined) return;
  // It often comes from the query of a request.
  throw new SseError(
    "ERR_SSE_INVALID_OPTION",
    `Expected \`after\` to be ${expected}, got ${describeValue(after)}`,
    { statusCode: 400 },
  );
}

/** @returns A checked value of `after`, where digits are the number of an item. An id has a dot, so it is never one. */
export function positionOf(after: string | number): string | number {
  if (typeof after === "number" || !/^\d+$/.test(after)) return after;
  const number = Number(after);
  return Number.isSafeInteger(number) ? number : after;
}

/** The error of every call after `runs.close()`. */
export function closedError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The runs are closed", { statusCode: 503 });
}

function hasChannels(cause: SseError): SseError {
  return new SseError(
    "ERR_SSE_ID_RESERVED",
    "A run needs a session without channels: follow it on a stream that has not subscribed",
    { cause },
  );
}
