/** Entry point for applications: `@tidewire/core`. */

export { SseError, isSseError } from "./errors.js";
export type { SseErrorCode, SseErrorOptions } from "./errors.js";
export type { LastMessage, SseMessage } from "./wire/message.js";
export type { StreamHeaders } from "./http/head.js";
export type { SseCorsOptions } from "./http/cors.js";
export { DEFAULTS } from "./options/hub.js";
export type { ErrorStage, HubOptions, ResolvedOptions, RetentionOptions } from "./options/hub.js";
export type {
  AuthorizedSession,
  Identity,
  RevalidateOptions,
  SessionLimit,
} from "./options/identity.js";
export type { JitterRange } from "./options/jitter.js";
export type { OpenOptions } from "./options/open.js";
export type { Exchange, ExchangeOf, NodeRequest, NodeResponse } from "./http/exchange.js";
export type { Decoded, StreamSource, WebReadable } from "./session/source.js";
export type { MapItem, StreamOptions } from "./session/pump.js";
export type { ObservableLike } from "./session/observable.js";
export type { CloseReason, OwnedSession, SessionState } from "./session/session.js";
export type {
  ChannelMap,
  ChannelMessage,
  ChannelsOf,
  Register,
  RegisteredChannels,
} from "./options/channels.js";
export type { Channel, ExceptedSession, HubPublishOptions, Published } from "./hub/channel.js";
export type { Log, LogHealth, PublishOptions } from "./log/log.js";
export { memoryLog } from "./log/memory-log.js";
export type { SnapshotMessages, SubscribeOptions } from "./options/subscribe.js";
export type {
  PresenceChannel,
  PresenceEvents,
  PresenceOptions,
  PresentIdentities,
} from "./options/presence.js";
export type { ResetReason } from "./wire/frame.js";
export type { DiagnosticMessages, DiagnosticSession } from "./hub/diagnostics.js";
export type { DisconnectFilter } from "./hub/revocations.js";
export type { SessionFilter } from "./hub/identities.js";
export type { HubStats } from "./hub/stats.js";
export type { ReadEvent, ReadItem, ReadOptions, ReadReset } from "./options/read.js";
export type { EventReading } from "./hub/reading.js";
export { createReader } from "./hub/reader.js";
export type { Reader, ReaderOptions } from "./hub/reader.js";
export { createPublisher } from "./hub/publisher.js";
export type { Publisher, PublisherOptions } from "./hub/publisher.js";
export { createHub } from "./hub/hub.js";
export type { Hub, Session } from "./hub/hub.js";
export type { CloseOptions } from "./hub/shutdown.js";
