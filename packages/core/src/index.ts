export { SseError, isSseError } from "./errors.js";
export type { SseErrorCode, SseErrorOptions } from "./errors.js";
export type { SseMessage } from "./message.js";
export type { HeaderTarget, StreamHeaders } from "./head.js";
export type { SseCorsOptions } from "./cors.js";
export { DEFAULTS } from "./options.js";
export type {
  ErrorStage,
  HubOptions,
  JitterRange,
  OpenOptions,
  ResolvedOptions,
} from "./options.js";
export type {
  Exchange,
  ExchangeStream,
  NodeRequest,
  NodeResponse,
  StreamBody,
} from "./node-sink.js";
export type { Decoded, StreamSource, WebReadable } from "./source.js";
export type { MapItem } from "./pump.js";
export type { CloseReason, Session, SessionState } from "./session.js";
export { createHub } from "./hub.js";
export type { CloseOptions, Hub } from "./hub.js";
