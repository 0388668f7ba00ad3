/** A reader for processes without streams. */

import { createReader } from "@tidewire/core";
import type { ChannelsOf, Reader, ReaderOptions, RegisteredChannels } from "@tidewire/core";
import { REDIS_LOG_OPTIONS, checkOptions } from "./options.js";
import type { RedisLogSettings, RedisPlace } from "./options.js";
import { redisLog } from "./redis-log.js";

/** Options of {@link createRedisReader}. `retention` is that of the stream; the reader keeps as much in memory. */
export type RedisReaderOptions = RedisLogSettings &
  Omit<ReaderOptions, "log" | "retention"> &
  RedisPlace;

const OPTIONS = [...REDIS_LOG_OPTIONS, "deserialize", "maxEventBytes", "onError"];

/**
 * Creates a reader for a process without sessions, such as a worker or a bot. It reads the events of all hubs and
 * publishers on the same stream.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - Options of `redisLog`, and how events are decoded.
 * @returns A reader. It keeps the process alive only while a loop is under way.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function createRedisReader<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options: RedisReaderOptions,
): Reader<Channels> {
  checkOptions(options, OPTIONS);
  const { deserialize, maxEventBytes, onError, ...logOptions } = options;
  const log = redisLog(logOptions);
  const { retention } = logOptions;
  return createReader<Channels>({ log, deserialize, retention, maxEventBytes, onError });
}
