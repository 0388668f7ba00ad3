/** Decides who may subscribe. */

import { rejectedWith } from "../errors.js";
import type { ResolvedOptions } from "../options/hub.js";
import type { AuthorizedSession } from "../options/identity.js";
import { shownBy, subjectOf } from "../options/presence.js";

/** Decides whether sessions may subscribe. */
export class Admission {
  readonly #authorize: ResolvedOptions["authorize"];
  /** Set unless the application has given `authorize`. */
  readonly #authorizeAll: ResolvedOptions["authorizeAll"];

  constructor({ authorize, authorizeAll }: Pick<ResolvedOptions, "authorize" | "authorizeAll">) {
    this.#authorize = authorize;
    this.#authorizeAll = authorizeAll;
  }

  /** Whether subscribing needs the application's permission. */
  get isAsking(): boolean {
    return this.#authorize !== undefined || this.#authorizeAll !== undefined;
  }

  /**
   * Asks whether a client may subscribe to channels. For one that shows who is present, the channel that it shows decides.
   *
   * @returns The refused channels; `true` if all were allowed at once. Rejects if `authorize` throws.
   */
  decide(names: readonly string[], session: AuthorizedSession): true | Promise<string[]> {
    if (!this.isAsking) return true;
    if (names.every((name) => shownBy(name) === undefined)) return this.#ask(names, session);
    const verdict = this.#ask([...new Set(names.map(subjectOf))], session);
    if (verdict === true) return true;
    return verdict.then((refused) => names.filter((name) => refused.includes(subjectOf(name))));
  }

  #ask(channels: readonly string[], session: AuthorizedSession): true | Promise<string[]> {
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
}

/** @returns The refused channels, as for {@link Admission.decide}. */
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
