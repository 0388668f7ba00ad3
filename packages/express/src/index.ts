export { sse } from "./sse.js";
export type {
  ExpressRequest,
  ExpressResponse,
  NextFunction,
  SseMiddleware,
  SseOptions,
} from "./sse.js";
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
