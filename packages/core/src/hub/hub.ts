/** The owner of everything in a process: creates sessions, publishes, counts, closes. */

import { describeValue } from "../errors.js";
import { createCors, isPreflight } from "../http/cors.js";
import { isHeadSent } from "../http/exchange.js";
import type { Exchange, ExchangeOf, NodeRequest } from "../http/exchange.js";
import { memoryLog } from "../log/memory-log.js";
import type { ChannelMessage, ChannelsOf, RegisteredChannels } from "../options/channels.js";
import { invalidOption } from "../options/check.js";
import { HUB, resolveOptions } from "../options/hub.js";
import type { ErrorStage, HubOptions, UntypedHubOptions } from "../options/hub.js";
import { notKept } from "../options/presence.js";
import type { ReadItem, ReadOptions } from "../options/read.js";
import { checkChannel } from "../options/subscribe.js";
import { NodeSink } from "../outlet/node-sink.js";
import type { OutletSettings } from "../outlet/outlet.js";
import { EventStream } from "../session/event-stream.js";
import type { OwnedSession } from "../session/session.js";
import { LogStart } from "../delivery/log-start.js";
import { Subscription } from "../delivery/subscription.js";
import { Admission } from "./admission.js";
import type { Channel, HubPublishOptions, Published } from "./channel.js";
import { Held } from "./held.js";
import { DIAGNOSTICS } from "./diagnostics.js";
import type { DiagnosticSession } from "./diagnostics.js";
import { Identities, checkSessionFilter } from "./identities.js";
import type { SessionFilter } from "./identities.js";
import { HubSession } from "./hub-session.js";
import type { HubParts } from "./hub-session.js";
import { Presence } from "../presence/presence.js";
import { Publisher } from "./publisher.js";
import type { EventReading } from "./reading.js";
import { Readings } from "./readings.js";
import { reportTo } from "./report.js";
import { Revalidation } from "./revalidation.js";
import { Revocations, checkDisconnect, decodeDisconnect } from "./revocations.js";
import type { DisconnectFilter } from "./revocations.js";
import { Sessions } from "./sessions.js";
import { checkCloseOptions, endSessionsOf, shutDown } from "./shutdown.js";
import type { CloseOptions } from "./shutdown.js";
import { Counters } from "./stats.js";
import type { HubStats } from "./stats.js";

/**
 * Owner of all event streams of a process: it creates sessions, publishes to channels, drives heartbeats and ends
 * streams.
 *
 * One hub may serve several frameworks at once. It publishes single events on the diagnostics channels of
 * {@link DiagnosticMessages}.
 *
 * @typeParam Channels - Same as for {@link createHub}.
 * @typeParam Request - Same as for {@link createHub}.
 */
export class Hub<Channels extends ChannelsOf<Channels> = RegisteredChannels, Request = unknown> {
  /** @internal */
  readonly [HUB]: true = true;
  readonly #parts: HubParts<Hub<Channels, Request>>;
  readonly #outletSettings: OutletSettings;
  readonly #publisher: Publisher<Channels>;
  readonly #readings: Readings<Channels>;
  readonly #counters = new Counters();
  readonly #isLocal: boolean;
  /** Set from the first `close` on; no more streams are opened. */
  #closing: Promise<void> | undefined;

  /** @internal Hubs are made by {@link createHub}. */
  constructor(given: HubOptions<Channels, Request> | undefined) {
    const options = resolveOptions(given as UntypedHubOptions | undefined);
    const counters = this.#counters;
    const report = (error: unknown, stage: ErrorStage): void => reportTo(options, error, stage);
    const log = options.log ?? memoryLog();
    this.#isLocal = log.isLocal === true;
    this.#publisher = new Publisher<Channels>(log, options, {
      published: (channel, id, message) => {
        counters.published += 1;
        // The in-memory log has already delivered the event.
        if (log.isLocal !== true) this.#parts.log.delivery?.own.add(id);
        if (!DIAGNOSTICS.publish.hasSubscribers) return;
        DIAGNOSTICS.publish.publish({ hub: this, channel, id, message });
      },
      failed: (error) => report(error, "publish"),
    });
    const sessions = new Sessions(options);
    const identities: HubParts<Hub<Channels, Request>>["identities"] = new Identities(options);
    const revocations = new Revocations(options.retention.maxAgeMs, (a, b) => log.compare(a, b));
    const presence =
      options.presence === false
        ? undefined
        : new Presence(options.presence, {
            log,
            options,
            missed: (channel) => {
              const members = this.#parts.log.delivery?.audience.of(channel);
              for (const member of members ?? []) member.reset("unknown");
            },
            report: (error) => report(error, "log"),
          });
    const { maxBufferedBytes, stallTimeoutMs } = options;
    this.#outletSettings = {
      counts: sessions.counts,
      heartbeat: sessions.heartbeat,
      maxBufferedBytes,
      stallTimeoutMs,
      get isClosing() {
        return sessions.isClosing;
      },
    };
    this.#parts = {
      hub: this,
      options,
      cors:
        options.cors === false
          ? undefined
          : createCors(options.cors, (error) => report(error, "cors")),
      sessions,
      admission: new Admission(options),
      identities,
      revocations,
      log: new LogStart(log, options, {
        counted: (events, bytes) => {
          counters.delivered += events;
          counters.deliveredBytes += bytes;
        },
        replayed: () => {
          counters.replays += 1;
        },
        wasReset: (outlet, reason, channels) => {
          counters.resets[reason] += 1;
          if (!DIAGNOSTICS.reset.hasSubscribers) return;
          // The outlet of a subscription belongs to a session of this hub.
          const session = outlet.owner as EventStream & DiagnosticSession;
          DIAGNOSTICS.reset.publish({ session, reason, channels });
        },
        get isTimed() {
          return DIAGNOSTICS.delivery.hasSubscribers;
        },
        timed: (delayMs) => DIAGNOSTICS.delivery.publish({ hub: this, delayMs }),
        translate: (entry) => presence?.translate(entry),
        control: (entry, ageMs) => {
          if (ageMs === undefined) presence?.settle();
          try {
            const filter = decodeDisconnect(entry);
            if (filter?.final === true) {
              revocations.add(filter, entry.id, performance.now() - (ageMs ?? 0));
            }
            // Sessions of this process are younger than entries from before it began.
            if (filter !== undefined && ageMs === undefined) disconnect(identities, filter);
          } catch (error) {
            report(error, "log");
          }
        },
        voided: () => presence?.voided(),
        report,
      }),
      presence,
      revalidation:
        options.revalidate === false
          ? undefined
          : new Revalidation(options.revalidate, (error) => report(error, "revalidate")),
      opened: (session, waitMs) => {
        counters.opened += 1;
        if (DIAGNOSTICS.open.hasSubscribers) DIAGNOSTICS.open.publish({ session, waitMs });
      },
      closed: (session, reason, lifetimeMs) => {
        counters.closes[reason] += 1;
        if (!DIAGNOSTICS.close.hasSubscribers) return;
        const { eventCount: events, eventBytes: bytes } = session.outlet;
        DIAGNOSTICS.close.publish({ session, reason, lifetimeMs, events, bytes });
      },
      held: new Held(options, report),
      turnedAway: () => {
        counters.turnedAway += 1;
      },
      report,
    };
    this.#readings = new Readings(this.#parts.log, options);
    this.#parts.log.whenSettled(() => {
      // Without a position, the log has failed to start.
      if (this.#parts.log.delivery === undefined) presence?.close();
      else presence?.begin();
    });
  }

  /** Number of open streams. */
  get sessionCount(): number {
    return this.#parts.sessions.openCount;
  }

  /**
   * Creates the session of one request. Nothing is sent, and the route may answer in any other way, until it sends
   * something through the session. A response may have several sessions, of one hub or several: the first to open
   * answers, and `open` of the others then throws `ERR_SSE_HEADERS_SENT`.
   *
   * @param exchange - `{ request, response }` of `node:http` or `node:http2`; adapters pass more.
   * @returns The session: idle, or closed if the client has already left.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the exchange is invalid.
   */
  createSession(exchange: ExchangeOf<Request>): Session<Channels, Request> {
    const session = new HubSession(new NodeSink(exchange, this.#outletSettings), this.#parts);
    // The channel types exist only for the compiler.
    return session as OwnedSession<Hub<Channels, Request>, never, unknown> as Session<
      Channels,
      Request
    >;
  }

  /**
   * Returns the open sessions of this process.
   *
   * With `identity` or `channel` the cost is proportional to the sessions of that identity or channel.
   *
   * @param filter - Only sessions of an identity, or with a channel.
   * @returns A new array.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the filter has an unknown name or an invalid value.
   */
  sessions(filter: SessionFilter<keyof Channels & string> = {}): Session<Channels, Request>[] {
    checkSessionFilter(filter);
    const { identity, channel } = filter;
    const { sessions, identities, log } = this.#parts;
    let found: Iterable<EventStream>;
    if (identity !== undefined) found = identities.openOf(identity);
    else if (channel === undefined) found = sessions;
    else found = sessionsOf(log.delivery?.audience.of(channel));
    const open: object[] = [];
    for (const session of found) {
      if (session.closeReason !== undefined || session.openedAt === undefined) continue;
      if (channel === undefined || (session as HubSession<unknown>).follows(channel))
        open.push(session);
    }
    return open as Session<Channels, Request>[];
  }

  /**
   * Closes the sessions of an identity on all nodes, with `revoked`. Nothing more is written to them, published before or
   * after.
   *
   * In this process it takes effect in the call, even if the log cannot be reached. Other nodes close theirs when they
   * read it from the log, usually within milliseconds of the promise. A node that is cut off from the log does so when
   * it is back: `revalidate` bounds that time. Clients reconnect, unless it is `final`, and `identify` and `authorize`
   * decide again: withdraw the rights first.
   *
   * @param filter - Whose sessions, optionally only those with a channel, and whether for good.
   * @returns Resolves once the log has it. Rejects as `publish` does, with the same reports to `onError`: other nodes may
   *   then not know of it.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the filter has an unknown name or an invalid value.
   */
  disconnect(filter: DisconnectFilter<keyof Channels & string>): Promise<void> {
    checkDisconnect(filter);
    disconnect(this.#parts.identities, filter);
    return this.#publisher.disconnect(filter);
  }

  /**
   * Returns the identities that are subscribed to a channel, on all nodes, in the order in which they joined. Requires the
   * option `presence`.
   *
   * @param channel - A string of 1 to 256 characters that does not begin with `~`.
   * @returns A new array. If this process has just started, it waits up to a second for the other nodes.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name is invalid or the option does not include the channel.
   */
  presence(channel: keyof Channels & string): Promise<string[]> {
    checkChannel(channel);
    const { presence } = this.#parts;
    if (presence?.isKept(channel) === true) return presence.of(channel);
    throw notKept(channel);
  }

  /**
   * Publishes one event to all sessions that are subscribed to a channel, and to clients that reconnect while the event
   * is retained.
   *
   * @param channel - A string of 1 to 256 characters that does not begin with `~`.
   * @param message - The event, without an id; a string is short for `{ data: string }`.
   * @param options - A `dedupeKey` makes it safe to retry; `except` is a session that does not get it.
   * @returns The event's id, once the log has it. Rejects with `ERR_SSE_LOG_REJECTED` if the log does not accept the
   *   event, with `ERR_SSE_LOG_UNKNOWN` if it may or may not be in the log, with `ERR_SSE_CLOSED` if the hub is closed.
   *   Every rejection is also reported to `onError` with the stage `publish`; an unawaited one does not end the
   *   process.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION`, `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or
   *   `ERR_SSE_ID_RESERVED` if the event is invalid.
   */
  publish<Name extends keyof Channels & string>(
    channel: Name,
    message: ChannelMessage<Channels[Name]>,
    options?: HubPublishOptions,
  ): Promise<Published> {
    if (typeof options !== "object" || options === null || !("except" in options)) {
      return this.#publisher.publish(channel, message, options);
    }
    const { except, ...others } = options;
    const settled = this.#except(except);
    try {
      const published = this.#publisher.publish(channel, message, others);
      const tailId = this.#localTailId();
      if (tailId !== undefined) {
        settled?.(tailId);
        return published;
      }
      void published.then(
        ({ id }) => settled?.(id),
        () => settled?.(undefined),
      );
      return published;
    } catch (error) {
      settled?.(undefined);
      throw error;
    }
  }

  /** @returns The id of the event just published, if the log is in this process and delivers at once. */
  #localTailId(): string | undefined {
    return this.#isLocal && this.#closing === undefined
      ? this.#parts.log.delivery?.audience.window.tailId
      : undefined;
  }

  /**
   * @returns A function that takes the event's id for the excepted session; `undefined` if there is no such session.
   */
  #except(session: unknown): ((id: string | undefined) => void) | undefined {
    if (session === undefined) return undefined;
    if (session instanceof HubSession && session.hub === this) return session.except();
    throw invalidOption(
      `Expected \`except\` to be a session of this hub, got ${describeValue(session)}`,
    );
  }

  /**
   * Reads the events of channels in server code, with the promise that streams have: every event once and in order, or
   * one reset.
   *
   * ```ts
   * for await (const item of hub.read("orders", { after: position })) {
   *   if (item.type === "reset") await reload();
   *   else handle(item.event, item.data);
   * }
   * ```
   *
   * The loop may be slow: it holds a position in the log, not a queue. `authorize` is not called.
   *
   * @param channels - One or more names, each of 1 to 256 characters that do not begin with `~`.
   * @param options - Where to begin, and a `signal`.
   * @returns An async iterable. It ends on `break`, when the `signal` aborts, and when the hub has closed and
   *   everything published before that was returned. It rejects only if the log cannot start.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if a name or an option is invalid.
   */
  read<Name extends keyof Channels & string>(
    channels: Name | readonly Name[],
    options?: ReadOptions,
  ): EventReading<ReadItem<Channels, Name>> {
    return this.#readings.read(channels, options);
  }

  /**
   * Returns the tail of the log as this process knows it: a client that passes it as last event ID, or `read` as `after`,
   * misses nothing from there on.
   *
   * Take the position first, then read the state that goes with it: an event may then be in both, but no event is missing.
   *
   * @returns The position. If the log is still starting after a second, one that leads to a reset. Rejects with
   *   `ERR_SSE_CLOSED` if the hub is closed.
   */
  position(): Promise<string> {
    return this.#readings.position();
  }

  /**
   * Returns one channel by its name.
   *
   * @param name - A string of 1 to 256 characters that does not begin with `~`. A channel needs no creation.
   * @returns The channel. It holds no state.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name is invalid.
   */
  channel<Name extends keyof Channels & string>(name: Name): Channel<Channels[Name]> {
    checkChannel(name);
    const subscriptionCount = (): number => this.#parts.log.delivery?.audience.of(name)?.size ?? 0;
    return {
      name,
      get subscriptionCount() {
        return subscriptionCount();
      },
      publish: (message, options) => this.publish(name, message, options),
    };
  }

  /**
   * Returns counters and the current state. The cost does not depend on the number of open streams.
   *
   * @returns A copy that does not change.
   */
  stats(): HubStats {
    const { sessions: all, log, held } = this.#parts;
    const { opened, turnedAway, published, delivered, deliveredBytes, replays, resets, closes } =
      this.#counters;
    const audience = log.delivery?.audience;
    const { open, subscribed, sent, sentBytes } = all.counts;
    const live = audience?.liveCount ?? 0;
    const now = performance.now();
    return {
      closing: all.isClosing,
      sessions: { connecting: all.connectingCount, open, live, behind: subscribed - live },
      held: held.size,
      opened,
      turnedAway,
      readers: this.#readings.size,
      channels: audience?.channelCount ?? 0,
      published,
      delivered,
      deliveredBytes,
      sent,
      sentBytes,
      replays,
      resets: { ...resets },
      closes: { ...closes },
      window: {
        events: audience?.window.size ?? 0,
        bytes: audience?.window.bytes ?? 0,
        ageMs: now - (audience?.window.oldestAt ?? now),
      },
      log: log.health,
    };
  }

  /**
   * Answers a request if it is a CORS preflight that the option `cors` allows. Call it before routing on plain
   * `node:http`; the middleware and the plugin do so themselves.
   *
   * @param exchange - Same as for `createSession`.
   * @param next - Called if the request is not answered here, with an error if `cors` produced one. If it has no
   *   parameter, the error goes to `onError`.
   */
  handlePreflight(exchange: Exchange, next: (error?: unknown) => void): void {
    const { request, response } = exchange;
    const { cors } = this.#parts;
    if (cors === undefined || !isPreflight(request)) return next();
    const target = exchange.headers ?? response;
    cors.preflight(request, target, (error, headers) => {
      // The request was answered elsewhere while the origin was looked up.
      if (isHeadSent(response)) {
        if (error !== undefined && error !== null) this.#parts.report(error, "cors");
        return;
      }
      if (headers === undefined) {
        // A callback without parameters would not receive the error.
        const isHeard = exchange.refuse !== undefined || next.length > 0;
        if (!isHeard && error !== undefined && error !== null) this.#parts.report(error, "cors");
        return next(error);
      }
      try {
        for (const [name, value] of headers) target.setHeader(name, value);
        if (exchange.answer !== undefined) return exchange.answer(204);
        response.statusCode = 204;
        response.end();
      } catch (fault) {
        // A hook on the head threw, perhaps inside a callback of the `origin` function, which could not handle the
        // error.
        this.#parts.report(fault, "write");
        response.destroy();
      }
    });
  }

  /**
   * Ends the sessions of one server and turns away its later ones, as `close` does for all. The hub stays open for
   * other servers. For adapters whose server closes.
   *
   * @param server - The `server` of the exchanges to end.
   * @returns Resolves within about half a second. Clients that do not read their end in time are cut off. Never
   *   rejects.
   */
  closeServer(server: object): Promise<void> {
    this.#parts.sessions.closeServer(server);
    return endSessionsOf(server, this.#parts);
  }

  /**
   * Closes the hub: turns new streams away and closes open ones, and sessions that have not opened yet, with the reason
   * `shutdown`. Then it cuts held clients and closes the log.
   *
   * Call it before `server.close()`, which otherwise waits for streams that never end by themselves. Idempotent.
   *
   * @param options - Time over which the ends are spread.
   * @returns Resolves within `drainMs` (at least a quarter of a second) plus at most three quarters of a second,
   *   whatever clients, callbacks and the log do. Clients that do not read their end in time are cut off. Never
   *   rejects.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const drainMs = checkCloseOptions(options);
    if (this.#closing === undefined) {
      const { sessions, held, log, presence } = this.#parts;
      sessions.close();
      held.close();
      const closeLog = (withinMs: number): Promise<void> => {
        presence?.close();
        this.#readings.close();
        log.close();
        return this.#publisher.close(withinMs);
      };
      this.#closing = shutDown({ sessions, held, closeLog, drainMs });
    }
    return this.#closing;
  }
}

/** Ends the sessions of this process that a disconnect concerns. */
function disconnect(
  identities: Identities<HubSession<unknown>>,
  { identity, channel, final = false }: DisconnectFilter,
): void {
  for (const session of identities.allOf(identity)) session.disconnect(channel, final);
}

/** @returns The sessions among the members of a channel. The others are readers. */
function* sessionsOf(members: Iterable<object> = []): Iterable<EventStream> {
  for (const member of members) {
    if (!(member instanceof Subscription)) continue;
    const { owner } = member.outlet;
    if (owner instanceof EventStream) yield owner;
  }
}

/**
 * One event stream to one client: `res.sse`, `reply.sse`.
 *
 * Reading it commits nothing: the response stays free until something is sent. Methods throw for a mistake of the
 * caller, before anything is written. They never throw, reject or hang because the client has left.
 *
 * @typeParam Channels - Same as for {@link createHub}.
 * @typeParam Request - Same as for {@link createHub}.
 */
export interface Session<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request = unknown,
> extends OwnedSession<Hub<Channels, Request>, Channels, Request> {}

/**
 * Creates a hub.
 *
 * @typeParam Channels - Channels with their event and data types, checked by the compiler wherever they are used.
 *   Default: those of {@link Register}.
 * @typeParam Request - Type of the hub's requests: the framework's, otherwise Node's.
 * @param options - See {@link HubOptions}; each has a default.
 * @returns A hub without sessions. Without `presence` it starts no timer until a stream is open or something is
 *   published. It never keeps the process alive.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createHub<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request = NodeRequest,
>(options?: HubOptions<NoInfer<Channels>, Request>): Hub<Channels, Request> {
  return new Hub<Channels, Request>(options);
}
