/** Closes a hub: ends its sessions over a time, cuts those that do not take their end, closes the log. */

import { describeValue } from "../errors.js";
import { checkMilliseconds, checkName, invalidOption } from "../options/check.js";
import type { Heartbeat } from "../outlet/heartbeat.js";
import type { EventStream } from "../session/event-stream.js";
import type { Held } from "./held.js";
import type { Sessions } from "./sessions.js";

/** Options of `hub.close`. */
export interface CloseOptions {
  /**
   * Time over which the ends of the open streams are spread, in milliseconds, so that their clients do
   * not come back to the next process all at once. Clients that come meanwhile are held until the last one has ended.
   *
   * @defaultValue `0`: at once
   */
  readonly drainMs?: number | undefined;
}

/** What a client may still take after its stream was ended, in milliseconds. */
const GRACE_MS = 250;
/** Time between two batches of ends. */
const BATCH_MS = 20;
/** Time between two looks whether the responses of a server are over. */
const LOOK_MS = 10;
/** Ends in a batch when there is no time to spread them over. */
const BATCH_SIZE = 500;

/** @returns The option `drainMs`. */
export function checkCloseOptions(options: CloseOptions): number {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of close() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) checkName(name, ["drainMs"]);
  return checkMilliseconds("drainMs", options.drainMs ?? 0);
}

/** What {@link shutDown} ends. */
interface ShutDownParts {
  /** No further one is opened. */
  readonly sessions: Sessions;
  /** Cut once the sessions have ended. */
  readonly held: Held;
  /** Over what time the ends of the sessions are spread. */
  readonly drainMs: number;
  /** Closes the log, within a number of milliseconds if it can. */
  closeLog(withinMs: number): Promise<void>;
}

/**
 * Ends all sessions of a hub, then cuts the clients that it holds, then closes its log.
 *
 * @returns Resolves in time, whatever clients, callbacks and the log do. Never rejects.
 */
export async function shutDown(parts: ShutDownParts): Promise<void> {
  const { sessions, held, drainMs } = parts;
  const start = performance.now();
  const { heartbeat, waiting } = sessions;
  // Those that have no stream yet are answered like all that come later.
  const unanswered = [...waiting];
  for (const session of unanswered) session.shutDown();
  // The last client needs time to take its end before the deadline.
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
  // A hook may hold their heads back, or CORS look up their origin.
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
 * Ends the sessions of one server, cuts the clients that are held there, and leaves the others and the log.
 *
 * @param server - What their requests came in through. No further session of it is opened.
 * @returns Resolves in time, whatever clients and callbacks do. Never rejects.
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
  // A response that somebody else has answered ends by itself.
  const isLeft = ({ outlet, isAnswered }: EventStream): boolean =>
    !outlet.isOver && (outlet.place !== undefined || !isAnswered);
  await whileTrue(() => all.some(isLeft), GRACE_MS);
  for (const session of all) if (isLeft(session)) session.destroy();
  held.end(server);
  await whileTrue(() => held.hasOf(server), GRACE_MS);
  held.destroy(server);
}

/** Resolves once something is not so any more, or after `ms`. */
async function whileTrue(isSo: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (isSo() && performance.now() < deadline) await wait(LOOK_MS);
}

/** Resolves when the last response is over, or after `ms`. */
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

/** Resolves with a promise, or after `ms`. Leaves no timer behind: it would keep the process alive. */
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
