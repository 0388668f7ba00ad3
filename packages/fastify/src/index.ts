/**
 * Entry point for applications: `@tidewire/fastify`. Same as `bare`, with `reply.sse` and `fastify.sse` in Fastify's
 * types.
 */

import type { Hub, Session } from "./hub.js";

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

/** Named here because session plugins may have added their own `Session` to Fastify's module. */
type ReplySession = Session;

declare module "fastify" {
  interface FastifyInstance {
    /** The hub: owns all event streams of this instance. */
    readonly sse: Hub;
  }
  interface FastifyReply {
    /**
     * The event stream to this client. Reading it costs nothing and commits nothing: the route may still answer in any
     * other way. A handler that uses it returns `reply`; once the stream is open, or waiting for `authorize` or CORS,
     * it may also return nothing.
     */
    readonly sse: ReplySession;
  }
}
