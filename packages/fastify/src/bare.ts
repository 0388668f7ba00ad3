/**
 * Entry point for applications that declare the plugin's names themselves: `@tidewire/fastify/bare`. Same as
 * `@tidewire/fastify`, but without `reply.sse` and `fastify.sse` in Fastify's types.
 */

export { ssePlugin } from "./sse-plugin.js";
export type {
  DecoratorOptions,
  InstanceWithSse,
  ReplyWithSse,
  SsePluginOptions,
} from "./sse-plugin.js";
export { sseHandler } from "./sse-handler.js";
export type { SseHandler } from "./sse-handler.js";
export { createHub } from "./hub.js";
export type { Hub, HubOptions, Session } from "./hub.js";
export { DEFAULTS, SseError, isSseError, memoryLog } from "@tidewire/core";
export type {
  Channel,
  ChannelMap,
  ChannelMessage,
  CloseOptions,
  CloseReason,
  DisconnectFilter,
  EventReading,
  HubStats,
  Identity,
  LastMessage,
  LogHealth,
  OpenOptions,
  PublishOptions,
  Published,
  ReadEvent,
  ReadItem,
  ReadOptions,
  ReadReset,
  Register,
  RegisteredChannels,
  SessionFilter,
  SessionState,
  SseErrorCode,
  SseMessage,
  SubscribeOptions,
} from "@tidewire/core";
