import type { Published } from "./channel.js";
import { Delivery } from "./delivery.js";
import { SseError } from "./errors.js";
import { encodeLogMessage } from "./frame.js";
import type { Log } from "./log.js";
import type { SseMessage } from "./message.js";
import type { ErrorStage, ResolvedOptions } from "./options.js";
import type { Session } from "./session.js";
import { checkChannel, checkChannels, checkSubscribeOptions } from "./subscribe-options.js";
import type { SubscribeOptions } from "./subscribe-options.js";
import { Subscription } from "./subscription.js";
import type { DeliveryObserver } from "./subscription.js";
import { Window } from "./window.js";

/** What a broker tells the hub. */
export interface BrokerObserver extends DeliveryObserver {
  published(channel: string, id: string): void;
  report(error: unknown, stage: ErrorStage): void;
}

/**
 * Brings publishers, the log and sessions together: who may subscribe, from where on, and what is published.
 */
export class Broker {
  readonly #options: ResolvedOptions;
  readonly #log: Log;
  readonly #observer: BrokerObserver;
  /** Set once the log has told where it stands; a log in memory tells at once. */
  #delivery: Delivery | undefined;
  /** Settles when `#delivery` is set; `undefined` while nobody has needed the log. */
  #starting: Promise<void> | undefined;
  /** The last `subscribe` of a session that has yet to be decided: those after it wait for their turn. */
  readonly #undecided: WeakMap<Session, Promise<boolean>> = new WeakMap();
  #isClosed = false;

  constructor(options: ResolvedOptions, log: Log, observer: BrokerObserver) {
    this.#options = options;
    this.#log = log;
    this.#observer = observer;
    this.#start();
  }

  /** `undefined` until the log has told where it stands. */
  get delivery(): Delivery | undefined {
    return this.#delivery;
  }

  /**
   * Checks, serializes and appends one event.
   *
   * @returns The event's id; rejects if the log does not take it.
   * @throws {SseError} What is wrong with the channel or the message, or `ERR_SSE_CLOSED`.
   */
  publish(channel: string, message: SseMessage | string): Promise<Published> {
    if (this.#isClosed) throw new SseError("ERR_SSE_CLOSED", "The hub is closed");
    checkChannel(channel);
    const entry = encodeLogMessage(message, this.#options);
    return this.#log.append(channel, entry).then((id) => {
      this.#observer.published(channel, id);
      return { id };
    });
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

  /** Takes no more events. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#log.close();
  }

  #start(): void {
    const begin = (tailId: string): Delivery => {
      const window = new Window(this.#options.retention, tailId, (a, b) => this.#log.compare(a, b));
      this.#delivery = new Delivery(window, this.#observer);
      return this.#delivery;
    };
    // What comes before the log has told where it stands is after that place.
    const early: ((delivery: Delivery) => void)[] = [];
    const hand = (give: (delivery: Delivery) => void): void => {
      if (this.#delivery === undefined) early.push(give);
      else give(this.#delivery);
    };
    const tail = this.#log.start({
      entries: (entries) => hand((delivery) => delivery.entries(entries)),
      reset: (reason, tailId) => hand((delivery) => delivery.reset(reason, tailId)),
    });
    if (typeof tail === "string") {
      begin(tail);
      return;
    }
    this.#starting = tail.then((tailId) => {
      const delivery = begin(tailId);
      for (const give of early.splice(0)) give(delivery);
    });
    this.#starting.catch((error: unknown) => this.#observer.report(error, "log"));
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
