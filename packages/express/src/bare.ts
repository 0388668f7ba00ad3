/**
 * Entry point for applications that declare the response property themselves: `@tidewire/express/bare`. Same as
 * `@tidewire/express`, but without `res.sse` in Express's types.
 */

export { sse } from "./sse.js";
export type {
  ExpressRequest,
  ExpressResponse,
  PropertyOptions,
  SseMiddleware,
  SseOptions,
  ResponseWithSse,
} from "./sse.js";
export { sseHandler } from "./sse-handler.js";
export type { SseHandler } from "./sse-handler.js";
export type { NextFunction } from "./express-exchange.js";
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
