/** The public surface of `@tidewire/client`. */

export type { AnyChannels, ChannelsOf, EventData, EventType, Received } from "./channels.js";
export { connect } from "./connect.js";
export type { AnyEvent, EventStream, Reset, StreamEvent } from "./event-stream.js";
export type {
  ConnectOptions,
  FetchedRequest,
  FetchedResponse,
  RequestHeaders,
  Signal,
} from "./options.js";
export type {
  CloseReason,
  ClosedStatus,
  ConnectingStatus,
  LossReason,
  OpenStatus,
  Status,
  WaitingStatus,
} from "./status.js";
