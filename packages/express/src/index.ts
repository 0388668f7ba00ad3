/** Entry point for applications: `@tidewire/express`. Same as `bare`, with `res.sse` in Express's types. */

import type { Session } from "./hub.js";

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

/** Named here because another package may have added a `Session` to the namespace of Express. */
type ResponseSession = Session;

declare global {
  namespace Express {
    interface Response {
      /**
       * The event stream to this client, available after the `sse()` middleware. Reading it costs nothing and commits
       * nothing: the route may still answer in any other way.
       */
      readonly sse: ResponseSession;
    }
  }
}
