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

/** Where `sse()` puts the session. */
export interface PropertyOptions {
  /**
   * Name of the property of responses that their session is read from. For a program that has something else there, or
   * two hubs. TypeScript has to be told of another name: see {@link ResponseWithSse}.
   *
   * @defaultValue `"sse"`: `res.sse`
   */
  readonly property?: string | undefined;
}

/** Options of `sse()`: those of a hub, or the hub itself to share it with another server; and where sessions go. */
export type SseOptions<Channels extends ChannelsOf<Channels> = RegisteredChannels> =
  | (HubOptions<Channels> & PropertyOptions & { readonly hub?: undefined })
  | (PropertyOptions & { readonly hub: AnyHub<Request> });

/**
 * Responses that have their session in a property, for a declaration of your own:
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
 * @typeParam Channels - As for `createHub`: the channels of the hub that is behind the property.
 */
export type ResponseWithSse<
  Property extends string = "sse",
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
> = { readonly [Name in Property]: Session<Channels> };

/** Request of Express as far as the middleware needs it: that of any version of Express, and of `connect`. */
export type ExpressRequest = IncomingMessage;

/** Response of Express. */
export type ExpressResponse = ServerResponse;

/**
 * What `sse()` returns: a middleware of Express that knows its hub.
 *
 * @typeParam Owner - Type of the hub.
 */
export interface SseMiddleware<Owner = Hub> {
  (request: ExpressRequest, response: ExpressResponse, next: NextFunction): void;
  /** Owner of all sessions behind this middleware: publish through it. Close it before the server. */
  readonly hub: Owner;
}

/**
 * Makes the middleware that gives every response behind it an event stream: `res.sse`.
 *
 * A request may pass several: in the application and in a router, in an application mounted in another. The innermost
 * counts: the last one that was passed on the way, in a router that the request has not left. With the same hub they share
 * one session. `res.sse` has the channels of `Register`, which is one for the
 * whole program, whatever the hub has.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - Options of a new hub, or `{ hub }` to use one that exists; beside them `property`.
 * @returns A middleware for `app.use`, `router.use` or a single route; its `hub` property is the hub.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or not what it may be.
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
    // A hub that has seen the request before would have answered it.
    if (request.method === "OPTIONS" && exchange !== before) hub.handlePreflight(exchange, next);
    else next();
  };
  return Object.assign(middleware, { hub });
}

/** Anything else than options is left to the check of those of a hub. */
function split(options: SseOptions): { property: unknown; hubOptions: SseOptions } {
  if (typeof options !== "object" || options === null || !Object.hasOwn(options, "property")) {
    return { property: undefined, hubOptions: options };
  }
  const { property, ...hubOptions } = options;
  return { property, hubOptions: hubOptions as SseOptions };
}
