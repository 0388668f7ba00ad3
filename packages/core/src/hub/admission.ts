/** Decides who may subscribe, and waits for the log to be ready. */

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
  /** Set unless the application has given `authorize`. */
  readonly #authorizeAll: ResolvedOptions["authorizeAll"];
  readonly #log: Log;
  readonly #start: LogStart;
  /** Each is called once the log has a position or will never have one. */
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

  /** `undefined` until the log has reported its position. */
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

  /** Whether subscribing needs the application's permission. */
  get isAsking(): boolean {
    return this.#authorize !== undefined || this.#authorizeAll !== undefined;
  }

  /**
   * Asks whether a client may subscribe to channels.
   *
   * @returns The refused channels; `true` if all were allowed at once. Rejects if `authorize` throws.
   */
  decide(channels: readonly string[], session: AuthorizedSession): true | Promise<string[]> {
    if (this.#authorizeAll !== undefined) return decideAll(this.#authorizeAll, channels, session);
    const authorize = this.#authorize;
    if (authorize === undefined) return true;
    const verdicts: (boolean | Promise<boolean>)[] = [];
    try {
      for (const channel of channels) verdicts.push(authorize(channel, session));
    } catch (error) {
      // Earlier verdicts may reject as well.
      for (const verdict of verdicts) if (verdict instanceof Promise) verdict.catch(() => {});
      return rejectedWith(error);
    }
    // Synchronous answers do not delay the call.
    return verdicts.every((verdict) => verdict === true) || refusedOf(channels, verdicts);
  }

  /**
   * Calls a function once the log has reported its position or never will; at once if it already has.
   *
   * @returns Cancels the call: a client that leaves must not wait for a log that cannot be reached.
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

/** @returns Same as {@link Admission.decide}. */
function decideAll(
  authorizeAll: NonNullable<ResolvedOptions["authorizeAll"]>,
  channels: readonly string[],
  session: AuthorizedSession,
): true | Promise<string[]> {
  let verdict: ReturnType<typeof authorizeAll>;
  try {
    // A copy: the function may change the array, which must not change the subscription.
    verdict = authorizeAll([...channels], session);
  } catch (error) {
    return rejectedWith(error);
  }
  if (isAllowed(channels, verdict)) return true;
  return Promise.resolve(verdict).then((answer) => {
    if (isAllowed(channels, answer)) return [];
    // An answer of another length cannot be matched to the channels.
    if (!Array.isArray(answer) || answer.length !== channels.length) return [...channels];
    return channels.filter((_channel, index) => answer[index] !== true);
  });
}

/** Whether the answer of `authorizeAll` allows all channels. */
function isAllowed(channels: readonly string[], answer: unknown): boolean {
  if (!Array.isArray(answer)) return answer === true;
  return answer.length === channels.length && answer.every((verdict) => verdict === true);
}

/** @returns Channels whose verdict is not exactly `true`: a forgotten `await` must not let everyone in. */
async function refusedOf(
  channels: readonly string[],
  verdicts: readonly (boolean | Promise<boolean>)[],
): Promise<string[]> {
  const all: unknown[] = await Promise.all(verdicts.map(async (verdict) => verdict));
  return channels.filter((_channel, index) => all[index] !== true);
}
