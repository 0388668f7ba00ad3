import { channel as diagnosticsChannel } from "node:diagnostics_channel";
import { Admission } from "./admission.js";
import type { Channel, ChannelMap, ChannelMessage, ChannelsOf, Published } from "./channel.js";
import { createCors, isPreflight } from "../http/cors.js";
import type { Cors } from "../http/cors.js";
import { Heartbeat } from "../outlet/heartbeat.js";
import { memoryLog } from "../log/memory-log.js";
import type { Exchange } from "../http/exchange.js";
import { NodeSink } from "../outlet/node-sink.js";
import { resolveOptions } from "../options/hub.js";
import type { ErrorStage, HubOptions, ResolvedOptions } from "../options/hub.js";
import type { PublishOptions } from "../log/log.js";
import { Publisher } from "./publisher.js";
import type { Obstacle } from "../session/reception.js";
import { Session } from "../session/event-stream.js";
import type { SessionHost } from "../session/event-stream.js";
import { BATCH_MS, BATCH_SIZE, GRACE_MS, checkCloseOptions, wait } from "./shutdown.js";
import type { CloseOptions } from "./shutdown.js";
import { Counters } from "./stats.js";
import type { HubStats } from "./stats.js";
import { checkChannel } from "../options/subscribe.js";
import { Subscription } from "../delivery/subscription.js";

/** Marks hubs, also those of another copy of the package. */
export const HUB: unique symbol = Symbol.for("tidewire.hub");

const DIAGNOSTICS = {
  open: diagnosticsChannel("tidewire.session.open"),
  close: diagnosticsChannel("tidewire.session.close"),
  publish: diagnosticsChannel("tidewire.publish"),
  reset: diagnosticsChannel("tidewire.reset"),
};

/**
 * Owner of all event streams of a process: it makes sessions, publishes to channels, drives heartbeats and
 * ends streams.
 *
 * One hub may serve several frameworks at once. What happens can be listened to on the diagnostics channels
 * `tidewire.session.open` (`{ session }`), `tidewire.session.close` (`{ session, reason }`), `tidewire.publish`
 * (`{ channel, id }`) and `tidewire.reset` (`{ session, reason, channels }`), at no cost while nobody does.
 *
 * @typeParam Channels - Channels, their event types and data, so that the compiler checks what is published.
 */
export class Hub<Channels extends ChannelsOf<Channels> = ChannelMap> {
  /** @internal */
  readonly [HUB]: true = true;
  readonly #options: ResolvedOptions;
  readonly #cors: Cors | undefined;
  /** Drives the sessions whose response is not over yet, those that are closed already included. */
  readonly #heartbeat: Heartbeat<Session> = new Heartbeat();
  readonly #host: SessionHost;
  readonly #admission: Admission;
  readonly #publisher: Publisher<Channels>;
  readonly #counters = new Counters();
  /** Those of the sessions that take messages. */
  #openCount = 0;
  /** Set from the first `close` on; no stream is opened any more. */
  #closing: Promise<void> | undefined;
  /** Set while `close` waits for the last response. */
  #onEmpty: (() => void) | undefined;

  /** @internal Hubs are made by {@link createHub}. */
  constructor(options: HubOptions | undefined) {
    this.#options = resolveOptions(options);
    this.#cors = this.#options.cors === false ? undefined : createCors(this.#options.cors);
    this.#host = {
      options: this.#options,
      cors: this.#cors,
      heartbeat: this.#heartbeat,
      turnAway: () => this.#obstacle(),
      opened: (session) => {
        this.#heartbeat.add(session);
        this.#openCount += 1;
        if (DIAGNOSTICS.open.hasSubscribers) DIAGNOSTICS.open.publish({ session });
      },
      closed: (session, reason) => {
        this.#openCount -= 1;
        this.#counters.closes[reason] += 1;
        if (DIAGNOSTICS.close.hasSubscribers) DIAGNOSTICS.close.publish({ session, reason });
      },
      released: (session) => {
        this.#heartbeat.delete(session);
        if (this.#heartbeat.size === 0) this.#onEmpty?.();
      },
      subscribe: (session, channels, how) => this.#admission.subscribe(session, channels, how),
      unsubscribe: (session, channels) => this.#admission.unsubscribe(session, channels),
      report: (error, stage) => this.#report(error, stage),
    };
    const log = this.#options.log ?? memoryLog();
    this.#publisher = new Publisher<Channels>(log, this.#options, (name, id) => {
      this.#counters.published += 1;
      if (DIAGNOSTICS.publish.hasSubscribers) DIAGNOSTICS.publish.publish({ channel: name, id });
    });
    this.#admission = new Admission(this.#options, log, {
      counted: (events, bytes) => {
        this.#counters.delivered += events;
        this.#counters.deliveredBytes += bytes;
      },
      replayed: () => {
        this.#counters.replays += 1;
      },
      wasReset: ({ session, channels }, reason) => {
        this.#counters.resets[reason] += 1;
        if (!DIAGNOSTICS.reset.hasSubscribers) return;
        DIAGNOSTICS.reset.publish({ session, reason, channels: [...channels.keys()] });
      },
      report: (error, stage) => this.#report(error, stage),
    });
  }

  /** Streams that are open now. */
  get sessionCount(): number {
    return this.#openCount;
  }

  /**
   * Makes the session of one request. Nothing is sent and the response stays free until something is
   * sent through the session.
   *
   * @param exchange - `{ request, response }` of `node:http` or `node:http2`; adapters give more.
   * @returns The session: idle, or closed if the client has left already.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the exchange is none, or its response has a session already.
   */
  createSession(exchange: Exchange): Session<Hub<Channels>> {
    return new Session<Hub<Channels>>(new NodeSink(exchange), this.#host, this);
  }

  /**
   * Publishes one event to all sessions that are subscribed to a channel, and to those that come back for
   * it while it is retained.
   *
   * @param channel - A string of 1 to 256 characters.
   * @param message - The event, without an id, or a string that stands for `{ data: string }`.
   * @param options - A `dedupeKey` makes it safe to try again.
   * @returns The event's id, once the log has it. Rejects with `ERR_SSE_LOG_REJECTED` if the log does not take it,
   *   with `ERR_SSE_LOG_UNKNOWN` if that cannot be told; with `memoryLog()` never.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION`, `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or
   *   `ERR_SSE_ID_RESERVED` if the event cannot be published as it is.
   * @throws {SseError} `ERR_SSE_CLOSED` if the hub is closed.
   */
  publish<Name extends keyof Channels & string>(
    channel: Name,
    message: ChannelMessage<Channels[Name]>,
    options?: PublishOptions,
  ): Promise<Published> {
    return this.#publisher.publish(channel, message, options);
  }

  /**
   * Gives one channel by its name.
   *
   * @param name - A string of 1 to 256 characters. It need not exist: it is there as soon as it is used.
   * @returns The channel. Nothing is kept for it.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name is not what it may be.
   */
  channel<Name extends keyof Channels & string>(name: Name): Channel<Channels[Name]> {
    checkChannel(name);
    const subscriptionCount = (): number => this.#admission.delivery?.subscriptionCount(name) ?? 0;
    return {
      name,
      get subscriptionCount() {
        return subscriptionCount();
      },
      publish: (message, options) => this.publish(name, message, options),
    };
  }

  /**
   * Counts what the hub has done and holds. Walks over all sessions: for a look now and then.
   *
   * @returns A copy that does not change.
   */
  stats(): HubStats {
    const sessions = { connecting: 0, open: 0, live: 0, behind: 0 };
    for (const { state, follower } of this.#heartbeat) {
      if (state !== "connecting" && state !== "open") continue;
      sessions[state] += 1;
      if (follower instanceof Subscription) sessions[follower.isLive ? "live" : "behind"] += 1;
    }
    const { published, delivered, deliveredBytes, replays, resets, closes } = this.#counters;
    const window = this.#admission.delivery?.window;
    const now = performance.now();
    return {
      sessions,
      channels: this.#admission.delivery?.channelCount ?? 0,
      published,
      delivered,
      deliveredBytes,
      replays,
      resets: { ...resets },
      closes: { ...closes },
      window: {
        events: window?.size ?? 0,
        bytes: window?.bytes ?? 0,
        ageMs: now - (window?.oldestAt ?? now),
      },
      log: this.#admission.health,
    };
  }

  /**
   * Answers a request if it is a CORS preflight that the option `cors` allows. For plain `node:http`,
   * before routing; the middleware and the plugin do it by themselves.
   *
   * @param exchange - As for {@link Hub.createSession}.
   * @param next - Called if the request is not answered here, with an error if `cors` gave one.
   */
  handlePreflight(exchange: Exchange, next: (error?: unknown) => void): void {
    const { request, response } = exchange;
    if (this.#cors === undefined || !isPreflight(request)) return next();
    this.#cors.preflight(request, exchange.headers ?? response, (error, isAllowed) => {
      if (!isAllowed) return next(error);
      if (response.headersSent) return;
      if (exchange.answer !== undefined) return exchange.answer(204);
      response.statusCode = 204;
      response.end();
    });
  }

  /**
   * Closes the hub: new streams are turned away, open ones are ended with the reason `shutdown`.
   *
   * Call it before `server.close()`, which otherwise waits for streams that never end by themselves.
   * Closing twice is closing once.
   *
   * @param options - Over what time the ends are spread.
   * @returns Resolves when all responses are over: within `drainMs`, or a quarter of a second if that is
   *   longer. A client that does not take the rest until then is cut off, which may take as long again at most.
   *   Never rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if `drainMs` is not a whole number from 0, or not the only option.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const drainMs = checkCloseOptions(options);
    this.#closing ??= this.#drain(drainMs);
    return this.#closing;
  }

  async #drain(drainMs: number): Promise<void> {
    const start = performance.now();
    // The last client needs time to take its end before the deadline.
    const spreadMs = Math.max(0, drainMs - GRACE_MS);
    const sessions = [...this.#heartbeat];
    for (let ended = 0; ended < sessions.length;) {
      const share = spreadMs === 0 ? 1 : (performance.now() - start) / spreadMs;
      const due = Math.min(Math.ceil(share * sessions.length), ended + BATCH_SIZE, sessions.length);
      for (; ended < due; ended++) sessions[ended]?.shutDown();
      if (ended < sessions.length) await wait(spreadMs === 0 ? 0 : BATCH_MS);
    }
    if (this.#heartbeat.size > 0) {
      const left = Math.max(GRACE_MS, drainMs - (performance.now() - start));
      await this.#empty(left);
    }
    for (const session of this.#heartbeat) session.destroy();
    if (this.#heartbeat.size > 0) await this.#empty(GRACE_MS);
    await this.#publisher.close();
  }

  /** Resolves when the last response is over, or after `ms`. */
  #empty(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(settle, ms);
      this.#onEmpty = settle;
      function settle(): void {
        clearTimeout(timer);
        resolve();
      }
    });
  }

  #obstacle(): Obstacle | undefined {
    if (this.#closing !== undefined) return "shutdown";
    const { maxSessions } = this.#options;
    return maxSessions !== false && this.#openCount >= maxSessions ? "busy" : undefined;
  }

  #report(error: unknown, stage: ErrorStage): void {
    const failed = (fault: unknown): void => {
      // The last resort: a reporter that fails has nowhere else to say so.
      console.error("tidewire: the option onError failed:", fault);
    };
    try {
      const result: unknown = this.#options.onError(error, { stage });
      if (result instanceof Promise) result.catch(failed);
    } catch (fault) {
      failed(fault);
    }
  }
}

/**
 * Makes a hub.
 *
 * @typeParam Channels - Channels, their event types and data, so that the compiler checks what is published.
 * @param options - See {@link HubOptions}; each has a default.
 * @returns A hub without sessions. It keeps no timer until a stream is open and never keeps the process alive.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or not what it may be.
 */
export function createHub<Channels extends ChannelsOf<Channels> = ChannelMap>(
  options?: HubOptions,
): Hub<Channels> {
  return new Hub<Channels>(options);
}
