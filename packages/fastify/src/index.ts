export { ssePlugin } from "./sse-plugin.js";
export type { SsePluginOptions } from "./sse-plugin.js";
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
