/** A publisher for processes without streams. */

import { createPublisher } from "@tidewire/core";
import type { ChannelsOf, Publisher, PublisherOptions, RegisteredChannels } from "@tidewire/core";
import { REDIS_LOG_OPTIONS, checkOptions } from "./options.js";
import type { RedisLogSettings, RedisPlace } from "./options.js";
import { redisLog } from "./redis-log.js";

/** Options of {@link createRedisPublisher}. */
export type RedisPublisherOptions = Omit<RedisLogSettings, "onHealth"> &
  Omit<PublisherOptions, "log"> &
  RedisPlace;

const OPTIONS = [
  ...REDIS_LOG_OPTIONS.filter((name) => name !== "onHealth"),
  "serialize",
  "verbatimStrings",
  "maxEventBytes",
  "onError",
];

/**
 * Creates a publisher for a process without sessions, such as a worker or a cron job. It publishes to all hubs on the
 * same stream, over one connection, and reads nothing.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - Options of `redisLog`, and how events are encoded.
 * @returns A publisher. It keeps the process alive only while a publish is pending.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createRedisPublisher<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options: RedisPublisherOptions,
): Publisher<Channels> {
  checkOptions(options, OPTIONS);
  const { serialize, verbatimStrings, maxEventBytes, onError, ...logOptions } = options;
  const log = redisLog(logOptions);
  return createPublisher<Channels>({ log, serialize, verbatimStrings, maxEventBytes, onError });
}
