/** Checks open sessions again from time to time: the option `revalidate`. */

import { Deque } from "../delivery/deque.js";
import type { AuthorizedSession, ResolvedRevalidateOptions } from "../options/identity.js";
import { draw } from "../options/jitter.js";
import { SWEEP_MS } from "../outlet/heartbeat.js";
import type { CloseReason } from "../session/session.js";

/** A sweep notices that a check is due up to this much later, and a few checks may be before it, in milliseconds. */
const LEAD_MS = 2 * SWEEP_MS;

/** A session that is checked. */
export interface CheckedSession extends AuthorizedSession {
  readonly closeReason: CloseReason | undefined;
  /** It may not stay open. */
  revoke(reason: CloseReason, isFinal: boolean): void;
}

/** Stands for the time of the next check while one is pending. */
const CHECKING = -1;

/** A session whose check is due. */
interface Due {
  readonly session: CheckedSession;
  readonly since: number;
}

/**
 * Runs the checks that are due, a limited number at the same time.
 *
 * The heartbeat asks for each session: there is no timer and no list of all sessions.
 */
export class Revalidation {
  readonly #options: ResolvedRevalidateOptions;
  readonly #report: (error: unknown) => void;
  /** Sessions whose check is due, longest wait first. */
  readonly #due = new Deque<Due>([]);
  /** When the next check of a session is due, from its first beat on; `CHECKING` while one is pending. */
  readonly #checkAt = new WeakMap<CheckedSession, number>();
  #pendingCount = 0;
  /** When a wait that was too long was reported last. */
  #reportedAt = -Infinity;

  /** @param report - Receives errors of checks, and the report that they take too long. */
  constructor(options: ResolvedRevalidateOptions, report: (error: unknown) => void) {
    this.#options = options;
    this.#report = report;
  }

  /**
   * Called by the heartbeat. Has the session checked if that is due: its `revoke` is called if it may not stay open.
   *
   * @returns Milliseconds after which it has to be called again.
   */
  beat(session: CheckedSession, now: number): number {
    const checkAt = this.#checkAt.get(session) ?? this.#plan(session, now, 0);
    if (checkAt !== CHECKING && checkAt <= now) {
      this.#checkAt.set(session, CHECKING);
      this.#due.push({ session, since: performance.now() });
      this.#next();
    }
    const nextAt = this.#checkAt.get(session) ?? CHECKING;
    // The next check may be due as soon as this one is decided.
    return nextAt === CHECKING ? SWEEP_MS : nextAt - now;
  }

  #next(): void {
    const { maxConcurrent } = this.#options;
    for (let due = this.#due.at(0); due !== undefined; due = this.#due.at(0)) {
      if (this.#pendingCount >= maxConcurrent) return;
      this.#due.shift();
      if (due.session.closeReason === undefined) this.#check(due);
    }
  }

  #check({ session, since }: Due): void {
    const now = performance.now();
    this.#lookAtWait(now - since, now);
    try {
      const answer = this.#options.check(session);
      if (isPromise(answer)) void this.#wait(session, answer, now);
      else this.#decide(session, answer, now);
    } catch (error) {
      this.#fail(session, error);
    }
  }

  /** Never rejects. */
  async #wait(session: CheckedSession, answer: PromiseLike<unknown>, now: number): Promise<void> {
    this.#pendingCount += 1;
    try {
      this.#decide(session, await within(answer, this.#options.timeoutMs), now);
    } catch (error) {
      this.#fail(session, error);
    }
    this.#pendingCount -= 1;
    this.#next();
  }

  /** @param askedAt - When the check began. */
  #decide(session: CheckedSession, answer: unknown, askedAt: number): void {
    if (session.closeReason !== undefined) return;
    // A result that is only truthy must not keep a client in.
    if (answer === true) this.#plan(session, askedAt, 0.8);
    else session.revoke("revoked", false);
  }

  #fail(session: CheckedSession, error: unknown): void {
    if (session.closeReason !== undefined) return;
    this.#report(error);
    session.revoke("error", false);
  }

  /** Reports, once in each period, that sessions are not checked as often as they should be. */
  #lookAtWait(waitedMs: number, now: number): void {
    const { everyMs, maxConcurrent } = this.#options;
    if (waitedMs <= everyMs || now - this.#reportedAt < everyMs) return;
    this.#reportedAt = now;
    this.#report(
      new Error(
        `A session has waited ${Math.round(waitedMs)} ms for \`revalidate.check\`, with ${maxConcurrent} checks at the same time: they take too long`,
      ),
    );
  }

  /**
   * Draws the time of a session's next check.
   *
   * @param from - Earliest time, as a part of the period.
   * @returns The time.
   */
  #plan(session: CheckedSession, now: number, from: number): number {
    const { everyMs } = this.#options;
    const ms = draw({ min: Math.ceil(from * everyMs), max: everyMs });
    const checkAt = Math.round(now + Math.max(0, ms - LEAD_MS));
    this.#checkAt.set(session, checkAt);
    return checkAt;
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === "function";
}

/** Resolves and rejects as the promise does, or rejects after `ms`. */
async function within(promise: PromiseLike<unknown>, ms: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`\`revalidate.check\` has not answered within ${ms} ms`));
    }, ms);
    timer.unref();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
