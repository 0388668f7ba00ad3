/** Who may subscribe, and whether the log is ready for it. */

import { rejectedWith } from "../errors.js";
import type { Delivery } from "../delivery/delivery.js";
import { LogStart } from "../delivery/log-start.js";
import type { DeliveryObserver } from "../delivery/audience.js";
import type { Subscription } from "../delivery/subscription.js";
import type { Log, LogHealth } from "../log/log.js";
import type { AuthorizedSession, ResolvedOptions } from "../options/hub.js";

/** Decides whether sessions may subscribe. */
export class Admission {
  readonly #authorize: ResolvedOptions["authorize"];
  /** `undefined` if there is `authorize`. */
  readonly #authorizeAll: ResolvedOptions["authorizeAll"];
  readonly #log: Log;
  readonly #start: LogStart;
  /** Called once the log has a position, or will never have one. */
  readonly #waiting: Set<() => void> = new Set();

  constructor(options: ResolvedOptions, log: Log, observer: DeliveryObserver<Subscription>) {
    this.#authorize = options.authorize;
    this.#authorizeAll = options.authorizeAll;
    this.#log = log;
    this.#start = new LogStart(log, options, observer);
    void this.#start.settled?.then(() => {
      for (const fn of this.#waiting) fn();
      this.#waiting.clear();
    });
  }

  /** `undefined` until the log has told its position. */
  get delivery(): Delivery | undefined {
    return this.#start.delivery;
  }

  /** The log was closed. */
  close(): void {
    this.#start.close();
  }

  /** Health of the log. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /** Whether anybody is asked before a client may subscribe. */
  get isAsking(): boolean {
    return this.#authorize !== undefined || this.#authorizeAll !== undefined;
  }

  /**
   * Asks whether a client may subscribe to channels.
   *
   * @returns The channels that it may not; `true` if all were allowed at once. Rejects if `authorize` throws.
   */
  decide(channels: readonly string[], session: AuthorizedSession): true | Promise<string[]> {
    if (this.#authorizeAll !== undefined) return decideAll(this.#authorizeAll, channels, session);
    const authorize = this.#authorize;
    if (authorize === undefined) return true;
    const verdicts: (boolean | Promise<boolean>)[] = [];
    try {
      for (const channel of channels) verdicts.push(authorize(channel, session));
    } catch (error) {
      // Those asked before it may reject as well.
      for (const verdict of verdicts) if (verdict instanceof Promise) verdict.catch(() => {});
      return rejectedWith(error);
    }
    // One that answers at once need not make the call wait.
    return verdicts.every((verdict) => verdict === true) || refusedOf(channels, verdicts);
  }

  /**
   * Calls a function once the log has told its position, or never will; at once if that is so.
   *
   * @returns Takes the function back: a client that leaves must not wait for a log that cannot be reached.
   */
  whenStarted(fn: () => void): () => void {
    if (this.#start.isSettled) {
      fn();
      return () => {};
    }
    this.#waiting.add(fn);
    return () => void this.#waiting.delete(fn);
  }
}

/** @returns As {@link Admission.decide}. */
function decideAll(
  authorizeAll: NonNullable<ResolvedOptions["authorizeAll"]>,
  channels: readonly string[],
  session: AuthorizedSession,
): true | Promise<string[]> {
  let verdict: ReturnType<typeof authorizeAll>;
  try {
    // A copy: what the function does with it must not change who is subscribed to what.
    verdict = authorizeAll([...channels], session);
  } catch (error) {
    return rejectedWith(error);
  }
  if (isAllowed(channels, verdict)) return true;
  return Promise.resolve(verdict).then((answer) => {
    if (isAllowed(channels, answer)) return [];
    // One that is shorter or longer answers other channels.
    if (!Array.isArray(answer) || answer.length !== channels.length) return [...channels];
    return channels.filter((_channel, index) => answer[index] !== true);
  });
}

/** Whether an answer of `authorizeAll` allows all channels. */
function isAllowed(channels: readonly string[], answer: unknown): boolean {
  if (!Array.isArray(answer)) return answer === true;
  return answer.length === channels.length && answer.every((verdict) => verdict === true);
}

/** @returns The channels with another verdict than `true`: a forgotten `await` inside must not let everybody in. */
async function refusedOf(
  channels: readonly string[],
  verdicts: readonly (boolean | Promise<boolean>)[],
): Promise<string[]> {
  const all: unknown[] = await Promise.all(verdicts.map(async (verdict) => verdict));
  return channels.filter((_channel, index) => all[index] !== true);
}
