export { SseError, isSseError } from "./errors.js";
export type { SseErrorCode, SseErrorOptions } from "./errors.js";
export type { SseMessage } from "./message.js";
export type { HeaderTarget, StreamHeaders } from "./head.js";
export type { SseCorsOptions } from "./cors.js";
export { DEFAULTS } from "./options.js";
export type {
  AuthorizedSession,
  ErrorStage,
  HubOptions,
  JitterRange,
  OpenOptions,
  ResolvedOptions,
  RetentionOptions,
} from "./options.js";
export type {
  Exchange,
  ExchangeStream,
  NodeRequest,
  NodeResponse,
  StreamBody,
} from "./exchange.js";
export type { Decoded, StreamSource, WebReadable } from "./source.js";
export type { MapItem } from "./pump.js";
export type { CloseReason, Session, SessionState } from "./session.js";
export type { Channel, ChannelMap, ChannelMessage, ChannelsOf, Published } from "./channel.js";
export type {
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPage,
  LogResetReason,
  PastEntry,
  PublishOptions,
} from "./log.js";
export { memoryLog } from "./memory-log.js";
export type { SnapshotMessages, SubscribeOptions } from "./subscribe-options.js";
export type { ResetReason } from "./frame.js";
export type { HubStats } from "./stats.js";
export { createPublisher } from "./publisher.js";
export type { Publisher, PublisherOptions } from "./publisher.js";
export { createHub, resolveHub } from "./hub.js";
export type { AnyHub, CloseOptions, Hub } from "./hub.js";
