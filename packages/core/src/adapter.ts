/** Entry point for framework adapters: `@tidewire/core/adapter`. */

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
export { checkName } from "./options/check.js";
export { isSessionAbort } from "./session/abort.js";
