/** Entry point for framework adapters and for packages that build on sessions: `@tidewire/core/adapter`. */

export { resolveHub } from "./hub/resolve-hub.js";
export type { AnyHub } from "./hub/resolve-hub.js";
export { createRoute } from "./hub/route.js";
export type { OfRequest, Route, RouteChannels, RouteOptions, RouteSession } from "./hub/route.js";
export type {
  Exchange,
  ExchangeOf,
  ExchangeStream,
  NodeRequest,
  NodeResponse,
  StreamBody,
} from "./http/exchange.js";
export type { HeaderTarget } from "./http/head.js";
export { describeValue, messageOf, rejectedWith } from "./errors.js";
export { atLeast, checkName, milliseconds, unexpected } from "./options/check.js";
export { printErrors } from "./options/print-errors.js";
export { KeepAlive } from "./hub/keep-alive.js";
export { callOnError } from "./hub/report.js";
export { Scope, runOutside } from "./outlet/async-context.js";
export { breathe } from "./outlet/pace.js";
export { isSessionAbort } from "./session/abort.js";
export { sendSerialized } from "./session/event-stream.js";
export { openSource } from "./session/source.js";
export type { SourceReader } from "./session/source.js";
export { encodeLogMessage } from "./wire/frame.js";
export type { Framing } from "./wire/frame.js";
export type { EventMessage } from "./wire/message.js";
