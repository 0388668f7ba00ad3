import type { ChannelMap, ChannelMessage, ChannelsOf, Published } from "./channel.js";
import { SseError, describeValue } from "../errors.js";
import { encodeLogMessage } from "../wire/frame.js";
import type { Log, LogHealth, PublishOptions } from "../log/log.js";
import type { SseMessage } from "../wire/message.js";
import { invalidOption } from "../options/check.js";
import { resolveOptions } from "../options/hub.js";
import type { HubOptions, ResolvedOptions } from "../options/hub.js";
import { checkChannel } from "../options/subscribe.js";

const OPTIONS = ["log", "serialize", "maxEventBytes"];

/** Options of `createPublisher`. */
export interface PublisherOptions extends Pick<HubOptions, "serialize" | "maxEventBytes"> {
  /** The log to publish to: the same that the hubs of the other processes have. */
  readonly log: Log;
}

/**
 * Publishes events from a process that holds no sessions: a worker, a cron job.
 *
 * It only adds to the log and never starts to read it.
 */
export class Publisher<Channels extends ChannelsOf<Channels> = ChannelMap> {
  readonly #log: Log;
  readonly #options: Pick<ResolvedOptions, "serialize" | "maxEventBytes">;
  readonly #published: ((channel: string, id: string) => void) | undefined;
  #isClosed = false;

  /** @internal Publishers are made by {@link createPublisher}; a hub has one that tells it of each event. */
  constructor(
    log: Log,
    options: Pick<ResolvedOptions, "serialize" | "maxEventBytes">,
    published?: (channel: string, id: string) => void,
  ) {
    this.#log = log;
    this.#options = options;
    this.#published = published;
  }

  /**
   * Publishes one event, as `hub.publish`.
   *
   * @param channel - A string of 1 to 256 characters.
   * @param message - The event, without an id, or a string that stands for `{ data: string }`.
   * @param options - A `dedupeKey` makes it safe to try again.
   * @returns The event's id, once the log has it. Rejects with `ERR_SSE_LOG_REJECTED` if the log does not take it,
   *   with `ERR_SSE_LOG_UNKNOWN` if that cannot be told.
   * @throws {SseError} `ERR_SSE_INVALID_OPTION`, `ERR_SSE_INVALID_FIELD`, `ERR_SSE_INVALID_DATA` or
   *   `ERR_SSE_ID_RESERVED` if the event cannot be published as it is.
   * @throws {SseError} `ERR_SSE_CLOSED` if the publisher is closed.
   */
  publish<Name extends keyof Channels & string>(
    channel: Name,
    message: ChannelMessage<Channels[Name]>,
    options?: PublishOptions,
  ): Promise<Published> {
    if (this.#isClosed)
      throw new SseError("ERR_SSE_CLOSED", "Nothing is published any more: closed");
    checkChannel(channel);
    if (options !== undefined) checkPublishOptions(options);
    const entry = encodeLogMessage(message as SseMessage | string, this.#options);
    return this.#log.append(channel, entry, options).then((id) => {
      this.#published?.(channel, id);
      return { id };
    });
  }

  /** How the log is. */
  get health(): LogHealth {
    return this.#log.health();
  }

  /** Closes the log, once what is being published is settled. Closing twice is closing once. Never rejects. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#log.close();
  }
}

/**
 * Makes a publisher.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - The log, and how events are made.
 * @returns A publisher. Close it: a log may keep connections open.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or not what it may be.
 */
export function createPublisher<Channels extends ChannelsOf<Channels> = ChannelMap>(
  options: PublisherOptions,
): Publisher<Channels> {
  const resolved = resolveOptions(options);
  for (const name of Object.keys(options ?? {})) {
    if (OPTIONS.includes(name)) continue;
    throw invalidOption(
      `Expected an option among ${OPTIONS.join(", ")}, got ${describeValue(name)}`,
    );
  }
  if (resolved.log === undefined) {
    throw invalidOption("Expected `log` to be the log to publish to, got undefined");
  }
  return new Publisher<Channels>(resolved.log, resolved);
}

function checkPublishOptions(options: PublishOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of publish() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (name === "dedupeKey") continue;
    throw invalidOption(`Expected the option dedupeKey, got ${describeValue(name)}`);
  }
  const { dedupeKey } = options;
  if (dedupeKey === undefined) return;
  if (typeof dedupeKey === "string" && dedupeKey !== "" && dedupeKey.length <= 256) return;
  throw invalidOption(
    `Expected \`dedupeKey\` to be a string of 1 to 256 characters, got ${describeValue(dedupeKey)}`,
  );
}
