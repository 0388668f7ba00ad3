/** Sends a run to a session, from its beginning or from where the client was. */

import type { ChannelMap, LastMessage, OwnedSession } from "@tidewire/core";
import { atLeast, sendSerialized, unexpected } from "@tidewire/core/adapter";
import { check, checkOptions } from "./check-options.js";
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
   * Returns the last message for the client. It is sent behind the last item, and the client does not come back after
   * it. A function that throws, or returns a message that cannot be sent, makes `follow` reject.
   *
   * @param end - How the run ended. `error` may contain details that clients should not see.
   * @returns The message; `undefined` for none.
   * @defaultValue no message: `EventSource` gets `sse-complete`, all others only the end of the stream
   */
  readonly end?: ((end: RunEnd) => LastMessage | string | undefined) | undefined;
  /**
   * The last item that the client has: its id, or its number in the run. `""` and 0 stand for the beginning.
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
  /** Whether the runs are closed: tapes get no more items. */
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
  options: FollowOptions = {},
): Promise<boolean> {
  const { end } = checkFollowOptions(session, options);
  if (session.closeReason !== undefined) return false;
  const cursor = await openFor(parts, key, session, options.after ?? session.lastEventId);
  if (cursor === undefined) return false;
  const last = await play(parts, cursor, session);
  if (last === undefined) return false;
  try {
    return await session.complete(end?.(last));
  } catch (error) {
    // The client would come back to the same error.
    await session.complete();
    throw error;
  }
}

/** @returns The cursor; `undefined` if the client has got another answer. */
async function openFor(
  { tapes, report }: FollowParts,
  key: string,
  session: FollowingSession,
  after: string | number,
): Promise<Cursor | undefined> {
  try {
    const cursor = await openCursor(tapes, key, after);
    if (cursor === undefined) await session.complete();
    return cursor;
  } catch (error) {
    // One 503 makes EventSource give up for good. After an empty stream it comes back.
    const comesBack = session.wantsEventStream || session.state !== "idle";
    if (!comesBack) throw error;
    report(error, "tapes", key);
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
    // A client that comes back would get the same item, and fail again.
    await session.complete();
    throw error;
  } finally {
    followers.delete(cursor.wake);
    forget();
    cursor.close();
  }
}

function checkFollowOptions(session: FollowingSession, options: FollowOptions): FollowOptions {
  if (typeof session !== "object" || typeof session?.complete !== "function") {
    throw unexpected("session", "a session such as `res.sse`", session);
  }
  checkOptions("follow", options, ["end", "after"]);
  const { end, after } = options;
  if (end !== undefined && typeof end !== "function") throw unexpected("end", "a function", end);
  checkAfter(after);
  return options;
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the option `after` is invalid. */
export function checkAfter(after: unknown): void {
  if (after === undefined || typeof after === "string") return;
  check("after", after, atLeast(0, after, "an id or "));
}
