export { sse } from "./sse.js";
export type {
  ExpressRequest,
  ExpressResponse,
  NextFunction,
  SseMiddleware,
  SseOptions,
} from "./sse.js";
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
