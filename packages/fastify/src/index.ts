export { ssePlugin } from "./sse-plugin.js";
export type { SsePluginOptions } from "./sse-plugin.js";
export { DEFAULTS, SseError, createHub, isSseError } from "@tidewire/core";
export type {
  CloseOptions,
  CloseReason,
  Hub,
  HubOptions,
  OpenOptions,
  Session,
  SessionState,
  SseErrorCode,
  SseMessage,
} from "@tidewire/core";
