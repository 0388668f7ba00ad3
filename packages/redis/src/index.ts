/** Public surface of the package. */

export { redisLog } from "./redis-log.js";
export { createRedisPublisher } from "./publisher.js";
export type { RedisPublisherOptions } from "./publisher.js";
export { createRedisReader } from "./event-reader.js";
export type { RedisReaderOptions } from "./event-reader.js";
export type {
  RedisClientOption,
  RedisLogOptions,
  RedisLogSettings,
  RedisPlace,
  RedisUrl,
  StreamRetentionOptions,
} from "./options.js";
export type { RedisClient, RedisClientSource } from "./source.js";
export { redisTapes } from "./tapes/redis-tapes.js";
export type { RedisTapesOptions, RedisTapesSettings } from "./tapes/tape-options.js";
