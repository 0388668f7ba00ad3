export { sse } from "./sse.js";
export type {
  ExpressRequest,
  ExpressResponse,
  NextFunction,
  SseMiddleware,
  SseOptions,
} from "./sse.js";
export { DEFAULTS, SseError, createHub, isSseError, memoryLog } from "@tidewire/core";
export type {
  Channel,
  ChannelMap,
  CloseOptions,
  CloseReason,
  Hub,
  HubOptions,
  HubStats,
  LogHealth,
  OpenOptions,
  PublishOptions,
  Session,
  SessionState,
  SseErrorCode,
  SseMessage,
  SubscribeOptions,
} from "@tidewire/core";
