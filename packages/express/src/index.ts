/** Entry point for applications: `@tidewire/express`. The same as its `bare`, with `res.sse` in the types of Express. */

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
  HubStats,
  LastMessage,
  LogHealth,
  OpenOptions,
  PublishOptions,
  Published,
  Register,
  RegisteredChannels,
  SessionState,
  SseErrorCode,
  SseMessage,
  SubscribeOptions,
} from "@tidewire/core";

/** Named here: inside the namespace of Express another package may have added a `Session`. */
type ResponseSession = Session;

declare global {
  namespace Express {
    interface Response {
      /**
       * The event stream to this client, behind the `sse()` middleware. Reading it costs nothing and
       * commits nothing: the route may still answer in any other way.
       */
      readonly sse: ResponseSession;
    }
  }
}
