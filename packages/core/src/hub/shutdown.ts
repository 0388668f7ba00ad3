/** Closes a hub: ends its sessions over a period, cuts clients that do not read their end, closes the log. */

import { describeValue } from "../errors.js";
import { checkMilliseconds, checkName, invalidOption } from "../options/check.js";
import type { Heartbeat } from "../outlet/heartbeat.js";
import type { EventStream } from "../session/event-stream.js";
import type { Held } from "./held.js";
import type { Sessions } from "./sessions.js";

/** Options of `hub.close`. */
export interface CloseOptions {
  /**
   * Time over which the open streams are ended, in milliseconds, so that their clients do not all reconnect to the next
   * process at once. Clients that connect in the meantime are held until the last stream has ended.
   *
   * @defaultValue `0`: ends all at once
   */
  readonly drainMs?: number | undefined;
}

/** Time that clients have to read the end of their streams, in milliseconds. */
const GRACE_MS = 250;
/** Time between two batches of ends, in milliseconds. */
const BATCH_MS = 20;
/** Interval at which the responses of a server are checked for completion, in milliseconds. */
const LOOK_MS = 10;
/** Batch size when there is no time to spread the ends over. */
const BATCH_SIZE = 500;

/** @returns The value of `drainMs`. */
export function checkCloseOptions(options: CloseOptions): number {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of close() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) checkName(name, ["drainMs"]);
  return checkMilliseconds("drainMs", options.drainMs ?? 0);
}

/** The parts that {@link shutDown} ends. */
interface ShutDownParts {
  /** Accepts no more sessions. */
  readonly sessions: Sessions;
  /** Cut once the sessions have ended. */
  readonly held: Held;
  /** Time over which the ends of the sessions are spread. */
  readonly drainMs: number;
  /** Closes the log, if possible within the given milliseconds. */
  closeLog(withinMs: number): Promise<void>;
}

/**
 * Ends all sessions of a hub, cuts its held clients, then closes its log.
 *
 * @returns Resolves in bounded time, whatever clients, callbacks and the log do. Never rejects.
 */
export async function shutDown(parts: ShutDownParts): Promise<void> {
  const { sessions, held, drainMs } = parts;
  const start = performance.now();
  const { heartbeat, waiting } = sessions;
  // Sessions without a stream get the same answer as later requests.
  const unanswered = [...waiting];
  for (const session of unanswered) session.shutDown();
  // The last clients need time before the deadline to read their end.
  const spreadMs = Math.max(0, drainMs - GRACE_MS);
  const open = [...sessions];
  for (let ended = 0; ended < open.length;) {
    const share = spreadMs === 0 ? 1 : (performance.now() - start) / spreadMs;
    const due = Math.min(Math.ceil(share * open.length), ended + BATCH_SIZE, open.length);
    for (; ended < due; ended++) open[ended]?.shutDown();
    if (ended < open.length) await wait(spreadMs === 0 ? 0 : BATCH_MS);
  }
  const deadline = Math.max(performance.now() + GRACE_MS, start + drainMs);
  await untilEmpty(heartbeat, deadline - performance.now());
  // A hook may hold back their heads, or CORS may still be looking up their origin.
  while (unanswered.some(({ isAnswered }) => !isAnswered) && performance.now() < deadline) {
    await wait(BATCH_MS);
  }
  for (const session of sessions) session.destroy();
  for (const session of unanswered) if (!session.isAnswered) session.destroy();
  held.end();
  await Promise.all([untilEmpty(heartbeat, GRACE_MS), untilEmpty(held.heartbeat, GRACE_MS)]);
  held.destroy();
  const left = Math.max(GRACE_MS, drainMs - (performance.now() - start));
  await within(parts.closeLog(left), left + GRACE_MS);
}

/**
 * Ends the sessions of one server and cuts its held clients. Other servers and the log are not affected.
 *
 * @param server - The server that the requests came through. It gets no more sessions.
 * @returns Resolves in bounded time, whatever clients and callbacks do. Never rejects.
 */
export async function endSessionsOf(
  server: object,
  { sessions, held }: Pick<ShutDownParts, "sessions" | "held">,
): Promise<void> {
  const all = [...sessions.waiting, ...sessions].filter(({ outlet }) => outlet.server === server);
  for (const [index, session] of all.entries()) {
    session.shutDown();
    if ((index + 1) % BATCH_SIZE === 0) await wait(0);
  }
  // A response that was answered elsewhere ends by itself.
  const isLeft = ({ outlet, isAnswered }: EventStream): boolean =>
    !outlet.isOver && (outlet.place !== undefined || !isAnswered);
  await whileTrue(() => all.some(isLeft), GRACE_MS);
  for (const session of all) if (isLeft(session)) session.destroy();
  held.end(server);
  await whileTrue(() => held.hasOf(server), GRACE_MS);
  held.destroy(server);
}

/** Resolves once the condition is false, or after `ms`. */
async function whileTrue(isSo: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (isSo() && performance.now() < deadline) await wait(LOOK_MS);
}

/** Resolves when the last response has ended, or after `ms`. */
function untilEmpty(heartbeat: Heartbeat, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (heartbeat.size === 0) return resolve();
    const settle = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(settle, ms);
    heartbeat.onEmpty = settle;
  });
}

/** Resolves with the promise, or after `ms`. Clears its timer, which would keep the process alive. */
async function within(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
