import { Backfill } from "../delivery/backfill.js";
import { Delivery } from "../delivery/delivery.js";
import { EarlyFollower, keepsPast } from "../delivery/log-start.js";
import { SseError, isSseError } from "../errors.js";
import type { Log, LogHealth } from "../log/log.js";
import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import type { Session } from "../session/event-stream.js";
import { checkChannels, checkSubscribeOptions } from "../options/subscribe.js";
import type { SubscribeOptions } from "../options/subscribe.js";
import { Subscription } from "../delivery/subscription.js";
import type { DeliveryObserver } from "../delivery/subscription.js";
import { Window } from "../delivery/window.js";

/** What a admission tells the hub. */
export interface AdmissionObserver extends DeliveryObserver {
  report(error: unknown, stage: ErrorStage): void;
}

/**
 * Brings the log and sessions together: who may subscribe, and from where on.
 */
export class Admission {
  readonly #options: ResolvedOptions;
  readonly #log: Log;
  readonly #observer: AdmissionObserver;
  /** Set once the log has told where it stands; a log in memory tells at once. */
  #delivery: Delivery | undefined;
  /** Settles when `#delivery` is set; `undefined` while nobody has needed the log. */
  #starting: Promise<void> | undefined;
  /** `true` once it is certain that `#delivery` will never be set. */
  #hasFailed = false;
  /** The last `subscribe` of a session that has yet to be decided: those after it wait for their turn. */
  readonly #undecided: WeakMap<Session, Promise<boolean>> = new WeakMap();

  constructor(options: ResolvedOptions, log: Log, observer: AdmissionObserver) {
    this.#options = options;
    this.#log = log;
    this.#observer = observer;
    this.#start();
  }

  /** `undefined` until the log has told where it stands. */
  get delivery(): Delivery | undefined {
    return this.#delivery;
  }

  /** How the log is. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /** @throws {SseError} What is wrong with the channels or the options. */
  subscribe(
    session: Session,
    channels: string | readonly string[],
    options: SubscribeOptions,
  ): Promise<boolean> {
    const names = checkChannels(channels);
    checkSubscribeOptions(options);
    if (session.state === "closed") return Promise.resolve(false);
    // A client that gets no stream in any case is not asked about: it may not even be logged in any more.
    if (this.#options.authorize !== undefined && session.isUnwelcome && !session.open()) {
      return Promise.resolve(false);
    }
    const verdict = this.#authorize(session, names);
    const before = this.#undecided.get(session);
    if (verdict === true && before === undefined && this.#delivery !== undefined) {
      return Promise.resolve(this.#follow(session, names, options, this.#delivery, false));
    }
    const isLast = (): boolean => this.#undecided.get(session) === decided;
    const decided = this.#subscribeLater(session, names, options, verdict, before, isLast);
    this.#undecided.set(session, decided);
    return decided.finally(() => {
      if (!isLast()) return;
      this.#undecided.delete(session);
      if (session.follower instanceof Subscription) session.follower.release();
    });
  }

  /** @throws {SseError} What is wrong with the channels. */
  unsubscribe(session: Session, channels: string | readonly string[]): void {
    const names = checkChannels(channels);
    if (session.follower instanceof Subscription) session.follower.remove(names);
  }

  #start(): void {
    const follower = new EarlyFollower((error) => this.#observer.report(error, "log"));
    const tail = this.#log.start(follower);
    if (typeof tail === "string") {
      this.#delivery = this.#deliver(tail).delivery;
      follower.handTo(this.#delivery);
      return;
    }
    this.#starting = tail.then(async (tailId) => {
      const { delivery, backfill } = this.#deliver(tailId);
      // So that a client that comes for the first time finds its `latest`, and most that come back their position.
      await backfill?.warm();
      this.#delivery = delivery;
      follower.handTo(delivery);
    });
    this.#starting.catch((error: unknown) => {
      this.#hasFailed = true;
      // Closed before it could start: that is no fault.
      if (isSseError(error) && error.code === "ERR_SSE_CLOSED") return;
      this.#observer.report(error, "log");
    });
  }

  #deliver(tailId: string): { delivery: Delivery; backfill: Backfill | undefined } {
    const log = this.#log;
    const window = new Window(this.#options.retention, tailId, (a, b) => log.compare(a, b));
    const report = (error: unknown): void => this.#observer.report(error, "log");
    const backfill = keepsPast(log) ? new Backfill(log, window, report) : undefined;
    return { delivery: new Delivery(window, this.#observer, backfill), backfill };
  }

  /** @returns Whether all channels are allowed; at once where nobody has to be asked. Rejects if `authorize` throws. */
  #authorize(session: Session, channels: readonly string[]): true | Promise<boolean> {
    const { authorize } = this.#options;
    if (authorize === undefined) return true;
    // Async, so that what it throws is a rejection as well.
    const verdicts = channels.map(async (channel) => authorize(channel, session));
    // Anything but `true` refuses: a forgotten `await` inside must not let everybody in.
    return Promise.all(verdicts).then((all: unknown[]) => all.every((verdict) => verdict === true));
  }

  async #subscribeLater(
    session: Session,
    names: readonly string[],
    options: SubscribeOptions,
    verdict: boolean | Promise<boolean>,
    before: Promise<boolean> | undefined,
    isLast: () => boolean,
  ): Promise<boolean> {
    try {
      const isAllowed = await verdict;
      // In the order of the calls, however long each was looked at: the first one decides what is replayed.
      await before;
      if (!isAllowed) {
        session.refuse(
          new SseError("ERR_SSE_FORBIDDEN", "The client may not subscribe to this channel", {
            statusCode: 403,
          }),
        );
        return false;
      }
      // However long the log cannot be reached: a client that is left without an answer would give up for ever.
      if (this.#delivery === undefined && !this.#hasFailed && !session.open()) return false;
      // What fails there has been reported: here it only means that there is nothing to subscribe to.
      await this.#starting?.catch(() => {});
      if (this.#delivery === undefined)
        session.refuse(new Error("The log has not started"), "error");
      return (
        this.#delivery !== undefined &&
        this.#follow(session, names, options, this.#delivery, !isLast())
      );
    } catch (error) {
      this.#observer.report(error, "authorize");
      session.refuse(error, "error");
      return false;
    }
  }

  #follow(
    session: Session,
    names: readonly string[],
    options: SubscribeOptions,
    delivery: Delivery,
    isAwaiting: boolean,
  ): boolean {
    if (session.closeReason !== undefined) return false;
    if (session.follower instanceof Subscription) {
      session.follower.add(names, options);
      return session.closeReason === undefined;
    }
    const subscription = new Subscription(session, delivery);
    session.follower = subscription;
    subscription.begin(names, options, session.lastEventId, isAwaiting);
    // After that: what a client is greeted with goes out with the first bytes of the stream.
    return session.open();
  }
}
