/** The middleware `sse()`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { ChannelsOf, RegisteredChannels } from "@tidewire/core";
import { resolveHub } from "@tidewire/core/adapter";
import type { AnyHub } from "@tidewire/core/adapter";
import type { Request } from "express";
import { takeClientAborts } from "./client-aborts.js";
import { ExpressExchange } from "./express-exchange.js";
import type { NextFunction } from "./express-exchange.js";
import type { Hub, HubOptions, Session } from "./hub.js";
import { propertyOf } from "./session-property.js";

/** Option for where `sse()` puts the session. */
export interface PropertyOptions {
  /**
   * Name of the response property that holds the session. For programs that already use `res.sse`, or that have two
   * hubs. TypeScript needs a declaration for any other name: see {@link ResponseWithSse}.
   *
   * @defaultValue `"sse"`: `res.sse`
   */
  readonly property?: string | undefined;
}

/** Options of `sse()`: those of a hub, or a hub to share with another server; and the property for sessions. */
export type SseOptions<Channels extends ChannelsOf<Channels> = RegisteredChannels> =
  | (HubOptions<Channels> & PropertyOptions & { readonly hub?: undefined })
  | (PropertyOptions & { readonly hub: AnyHub<Request> });

/**
 * Responses with their session in a property, for your own declaration:
 *
 * ```ts
 * declare global {
 *   namespace Express {
 *     interface Response extends ResponseWithSse<"events"> {}
 *   }
 * }
 * ```
 *
 * `@tidewire/express` declares `res.sse` itself; `@tidewire/express/bare` declares nothing.
 *
 * @typeParam Property - The option `property` of `sse()`.
 * @typeParam Channels - As for `createHub`: the channels of the property's hub.
 */
export type ResponseWithSse<
  Property extends string = "sse",
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
> = { readonly [Name in Property]: Session<Channels> };

/** Request that the middleware accepts: that of any Express version, and of `connect`. */
export type ExpressRequest = IncomingMessage;

/** Response of Express. */
export type ExpressResponse = ServerResponse;

/**
 * The middleware that `sse()` returns, with its hub.
 *
 * @typeParam Owner - Type of the hub.
 */
export interface SseMiddleware<Owner = Hub> {
  (request: ExpressRequest, response: ExpressResponse, next: NextFunction): void;
  /** Owner of all sessions of this middleware. Publish through it, and close it before the server. */
  readonly hub: Owner;
}

/**
 * Creates the middleware that gives every later handler an event stream: `res.sse`.
 *
 * A request may pass several, for example in the application and in a router, or in a mounted application. The
 * innermost counts: the last one passed in a router that the request has not left. Several with the same hub share one
 * session. `res.sse` has the channel types of `Register`, of which there is one per program, regardless of the hub's
 * own types.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - Options of a new hub, or `{ hub }` to use an existing one; optionally `property`.
 * @returns A middleware for `app.use`, `router.use` or a single route; its `hub` property is the hub.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function sse<Given extends AnyHub<Request>>(
  options: PropertyOptions & { readonly hub: Given },
): SseMiddleware<Given>;
export function sse<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options?: HubOptions<NoInfer<Channels>> & PropertyOptions & { readonly hub?: undefined },
): SseMiddleware<Hub<Channels>>;
export function sse(options: SseOptions = {}): SseMiddleware {
  const { property: name, hubOptions } = split(options);
  const property = propertyOf(name);
  const hub = resolveHub<RegisteredChannels, Request>(hubOptions, ["property"]);

  const middleware = (
    request: ExpressRequest,
    response: ExpressResponse,
    next: NextFunction,
  ): void => {
    takeClientAborts(request);
    const before = property.exchangeOf(response);
    const exchange =
      before?.hub === hub ? before : new ExpressExchange(response, hub, next, before);
    try {
      property.bind(response, exchange);
    } catch (error) {
      return next(error);
    }
    // If the hub has seen the request before, it has already had the chance to answer.
    if (request.method === "OPTIONS" && exchange !== before) hub.handlePreflight(exchange, next);
    else next();
  };
  return Object.assign(middleware, { hub });
}

/** Any value other than an options object is left to the hub's own check. */
function split(options: SseOptions): { property: unknown; hubOptions: SseOptions } {
  if (typeof options !== "object" || options === null || !Object.hasOwn(options, "property")) {
    return { property: undefined, hubOptions: options };
  }
  const { property, ...hubOptions } = options;
  return { property, hubOptions: hubOptions as SseOptions };
}
