/** Finds links that are dead although they look alive: no byte for one and a half heartbeats. */

import { createAlarm } from "./alarm.js";
import { parseJson } from "./json.js";

/**
 * Longest silence before the first event. A server that is full answers with a comment and cuts the connection after up
 * to 30 s: that is no dead link.
 */
const HELD_MS = 35_000;

/** The last part of the silence. After a sleep, bytes that came in meanwhile have this time to be read. */
const GRACE_MS = 400;

/** A stream whose bytes all came within this time has not shown that the server is well again. */
const STEADY_MS = 5_000;

/** The data of an `sse-cursor`, if it is the first one of a stream. */
interface Announcement {
  readonly heartbeatMs?: number | false;
}

/** Watches one stream after another. */
export interface Watchdog {
  /** Begins to watch a new stream. */
  start(): void;
  stop(): void;
  /** Goes on after a time in which the stream was not read: that silence was ours. */
  resume(): void;
  /** Bytes have come. Returns whether they have been coming for a while. */
  hear(): boolean;
  /** An event has come: the data of an `sse-cursor`, which may announce a heartbeat; `undefined` for any other. */
  seeEvent(cursor: string | undefined): void;
}

/**
 * Creates a watchdog.
 *
 * @param option - The option `heartbeatMs`: `false` turns the watch off.
 * @param onStall - The link is dead.
 */
export function createWatchdog(option: number | false | undefined, onStall: () => void): Watchdog {
  const alarm = createAlarm();
  /** As announced on this stream or an earlier one, else the option. `Infinity` for no watch. */
  let heartbeatMs = option || Infinity;
  /** Whether this stream has carried an event, and not only comments. */
  let hasEvent = false;
  let heardAt = 0;
  /** When the first bytes of this stream came; 0 before. */
  let firstAt = 0;

  const watch = (): void => {
    const limitMs = Math.max(1.5 * heartbeatMs, hasEvent ? 0 : HELD_MS) - GRACE_MS;
    alarm.set(Math.max(0, heardAt + limitMs - Date.now()), () => {
      // If the clock was set back, the link would otherwise be trusted for as long as that.
      heardAt = Math.min(heardAt, Date.now());
      const before = heardAt;
      if (limitMs < Infinity && Date.now() - before < limitMs) watch();
      else alarm.set(GRACE_MS, () => (heardAt === before ? onStall() : watch()));
    });
  };
  const resume = (): void => {
    heardAt = Date.now();
    watch();
  };

  return {
    start() {
      hasEvent = false;
      firstAt = 0;
      resume();
    },
    stop: alarm.clear,
    resume,
    hear() {
      heardAt = Date.now();
      firstAt ||= heardAt;
      return heardAt - firstAt >= STEADY_MS;
    },
    seeEvent(cursor) {
      if (hasEvent && cursor === undefined) return;
      hasEvent = true;
      // `false` becomes 0, which is no heartbeat.
      const announced = Number((Object(parseJson(cursor ?? "")) as Announcement).heartbeatMs);
      if (option !== false && announced >= 0) heartbeatMs = announced || Infinity;
      watch();
    },
  };
}
