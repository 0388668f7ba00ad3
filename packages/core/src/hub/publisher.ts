/** Adds events to the log, for hubs and for processes without sessions. */

import { SseError, describeValue, quoteName, suggest, rejectedWith } from "../errors.js";
import { encodeLogMessage } from "../wire/frame.js";
import type { Framing } from "../wire/frame.js";
import type { Log, LogHealth, LogMessage, PublishOptions } from "../log/log.js";
import type { SseMessage } from "../wire/message.js";
import type { ChannelMessage, ChannelsOf, RegisteredChannels } from "../options/channels.js";
import { checkName, invalidOption } from "../options/check.js";
import { resolveOptions } from "../options/hub.js";
import type { HubOptions } from "../options/hub.js";
import { checkChannel } from "../options/subscribe.js";
import type { Published } from "./channel.js";
import { reportTo } from "./report.js";
import { DISCONNECT_CHANNEL, encodeDisconnect } from "./revocations.js";
import type { DisconnectFilter } from "./revocations.js";

const OPTIONS = ["log", "serialize", "verbatimStrings", "maxEventBytes", "onError"];

/** Receives the outcome of each publish. */
export interface PublishObserver {
  /** An event is in the log. `message` is what the caller gave to `publish`. */
  published(channel: string, id: string, message: unknown): void;
  /** An event was not added to the log, or it is unknown whether it was. */
  failed(error: unknown): void;
}

/** Options of `createPublisher`. */
export interface PublisherOptions extends Pick<
  HubOptions,
  "serialize" | "verbatimStrings" | "maxEventBytes" | "onError"
> {
  /** The log to publish to, which the hubs of other processes read. */
  readonly log: Log;
}

/**
 * Publishes events from a process without sessions, such as a worker or a cron job.
 *
 * It only adds to the log and never starts reading it.
 */
export class Publisher<Channels extends ChannelsOf<Channels> = RegisteredChannels> {
  readonly #log: Log;
  readonly #options: Framing;
  readonly #observer: PublishObserver;
  #isClosed = false;

  /** @internal Publishers are made by {@link createPublisher}. A hub has its own, with an observer. */
  constructor(log: Log, options: Framing, observer: PublishObserver) {
    this.#log = log;
    this.#options = options;
    this.#observer = observer;
  }

  /**
   * Publishes one event, as `hub.publish` does.
   *
   * @param channel - A string of 1 to 256 characters that does not begin with `~`.
   * @param message - The event, without an id; a string is short for `{ data: string }`.
   * @param options - A `dedupeKey` makes it safe to retry.
   * @returns The event's id, once the log has it. Rejects with `ERR_SSE_LOG_REJECTED` if the log does not accept the
   *   event, with `ERR_SSE_LOG_UNKNOWN` if it may or may not be in the log, with `ERR_SSE_CLOSED` if the publisher is
   *   closed. Every rejection is also reported to `onError` with the stage `publish`; an unawaited one does not end the
   *   process.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION`, `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or
   *   `ERR_SSE_ID_RESERVED` if the event is invalid.
   */
  publish<Name extends keyof Channels & string>(
    channel: Name,
    message: ChannelMessage<Channels[Name]>,
    options?: PublishOptions,
  ): Promise<Published> {
    checkChannel(channel);
    if (options !== undefined) checkPublishOptions(options, message);
    const entry = encodeLogMessage(message as SseMessage | string, this.#options);
    return this.#added(channel, entry, options, (id) => {
      this.#observer.published(channel, id, message);
      return { id };
    });
  }

  /**
   * Closes the sessions of an identity, on all nodes, as `hub.disconnect` does.
   *
   * @param filter - Whose sessions, optionally only those with a channel, and whether for good.
   * @returns Same as for {@link Publisher.publish}, without an id.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the filter has an unknown name or an invalid value.
   */
  disconnect(filter: DisconnectFilter<keyof Channels & string>): Promise<void> {
    const entry = encodeDisconnect(filter);
    return this.#added(DISCONNECT_CHANNEL, entry, undefined, () => {});
  }

  /** Adds an entry. A rejection is reported, and then counts as handled. */
  #added<Result>(
    channel: string,
    entry: LogMessage,
    options: PublishOptions | undefined,
    fn: (id: string) => Result,
  ): Promise<Result> {
    const added = this.#append(channel, entry, options).then(fn, (error: unknown) => {
      this.#observer.failed(error);
      // Most callers do not await: a brief log outage must not end their process.
      added.catch(() => {});
      throw error;
    });
    return added;
  }

  #append(channel: string, entry: LogMessage, options?: PublishOptions): Promise<string> {
    if (this.#isClosed) {
      return rejectedWith(
        new SseError("ERR_SSE_CLOSED", "The hub or publisher is closed", { statusCode: 503 }),
      );
    }
    try {
      return this.#log.append(channel, entry, options);
    } catch (error) {
      // A failure of the log is never the caller's mistake.
      return rejectedWith(error);
    }
  }

  /** Health of the log: whether this publisher can publish. `lagMs` is 0, because a publisher does not read. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /**
   * Closes the log once pending publishes have settled. Idempotent.
   *
   * @param withinMs - Upper limit for settling, in milliseconds; absent: the log's own limit.
   * @returns Never rejects.
   */
  close(withinMs?: number): Promise<void> {
    this.#isClosed = true;
    return this.#log.close(withinMs);
  }
}

/**
 * Creates a publisher.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - The log, and how events are encoded.
 * @returns A publisher. Close it: a log may keep connections open.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid, or the log is `memoryLog()`.
 */
export function createPublisher<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options: PublisherOptions,
): Publisher<Channels> {
  for (const name of Object.keys(options ?? {})) checkName(name, OPTIONS);
  const resolved = resolveOptions(options);
  if (resolved.log === undefined) {
    throw invalidOption("Expected `log` to be the log to publish to, got undefined");
  }
  if (resolved.log.isLocal === true) {
    throw invalidOption("Expected `log` to be one that other processes read, got memoryLog()");
  }
  return new Publisher<Channels>(resolved.log, resolved, {
    published: () => {},
    failed: (error) => reportTo(resolved, error, "publish"),
  });
}

function checkPublishOptions(options: PublishOptions, message: unknown): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of publish() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (name === "dedupeKey") continue;
    const meant = suggest(name, ["dedupeKey", "except"]);
    // Other libraries have `publish("news", "headline", data)`.
    const isMessage = typeof message === "string" && !meant.startsWith("Did you");
    const hint = isMessage ? "An event with a type is one message: { event, data }" : meant;
    throw invalidOption(`Unknown option ${quoteName("", name)}. ${hint}`);
  }
  const { dedupeKey } = options;
  if (dedupeKey === undefined) return;
  if (typeof dedupeKey === "string" && dedupeKey !== "" && dedupeKey.length <= 256) return;
  throw invalidOption(
    `Expected \`dedupeKey\` to be a string of 1 to 256 characters, got ${describeValue(dedupeKey)}`,
  );
}
