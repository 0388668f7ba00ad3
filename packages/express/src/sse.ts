import type { IncomingMessage, ServerResponse } from "node:http";
import { SseError } from "@tidewire/core";
import type { ChannelsOf, RegisteredChannels } from "@tidewire/core";
import { resolveHub } from "@tidewire/core/adapter";
import type { AnyHub, Exchange } from "@tidewire/core/adapter";
import type { Request } from "express";
import type { Hub, HubOptions, Session } from "./hub.js";

/** Named here: inside the namespace of Express another package may have added a `Session`. */
type ResponseSession = Session;

declare global {
  namespace Express {
    interface Response {
      /**
       * The event stream to this client, behind the `sse()` middleware. Reading it costs nothing and
       * commits nothing: the route may still answer in any other way.
       */
      readonly sse: ResponseSession;
    }
  }
}

/** Options of `sse()`: those of a hub, or the hub itself to share it with another server. */
export type SseOptions<Channels extends ChannelsOf<Channels> = RegisteredChannels> =
  | (HubOptions<Channels> & { readonly hub?: undefined })
  | { readonly hub: AnyHub<Request> };

/** Request of Express as far as the middleware needs it; written out so that no other package's types are needed. */
export interface ExpressRequest extends IncomingMessage {
  /** The application that handles the request. */
  readonly app?: object;
}

/** Response of Express. */
export type ExpressResponse = ServerResponse;

/** Goes on to the next handler, or with an error to the next error handler. */
export type NextFunction = (error?: unknown) => void;

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

const EXCHANGE: unique symbol = Symbol("tidewire.exchange");

/** What the middleware leaves on a response: all that the getter of `res.sse` needs. */
class ExpressExchange implements Exchange {
  readonly response: ExpressResponse;
  readonly #hub: Hub;
  readonly #next: NextFunction;
  #session: Session | undefined;

  constructor(response: ExpressResponse, hub: Hub, next: NextFunction) {
    this.response = response;
    this.#hub = hub;
    this.#next = next;
  }

  get session(): Session {
    this.#session ??= this.#hub.createSession(this);
    return this.#session;
  }

  get request(): Request {
    return this.response.req as Request;
  }

  refuse(error: unknown): void {
    // The router that handles the request now: its own error handlers come first.
    const { next } = this.request as { next?: NextFunction };
    (next ?? this.#next)(error);
  }
}

type BoundResponse = ServerResponse & { [EXCHANGE]?: ExpressExchange };

/**
 * Makes the middleware that gives every response behind it an event stream: `res.sse`.
 *
 * `res.sse` has the channels of `Register`, which is one for the whole program, whatever the hub has.
 *
 * @typeParam Channels - As for `createHub`.
 * @param options - Options of a new hub, or `{ hub }` to use one that exists.
 * @returns A middleware for `app.use`, `router.use` or a single route; its `hub` property is the hub.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or not what it may be.
 */
export function sse<Given extends AnyHub<Request>>(options: {
  readonly hub: Given;
}): SseMiddleware<Given>;
export function sse<Channels extends ChannelsOf<Channels> = RegisteredChannels>(
  options?: HubOptions<NoInfer<Channels>> & { readonly hub?: undefined },
): SseMiddleware<Hub<Channels>>;
export function sse(options: SseOptions = {}): SseMiddleware {
  const hub = resolveHub<RegisteredChannels, Request>(options);

  const middleware = (
    request: ExpressRequest,
    response: ExpressResponse,
    next: NextFunction,
  ): void => {
    defineGetter(request, response);
    (response as BoundResponse)[EXCHANGE] = new ExpressExchange(response, hub, next);
    if (request.method === "OPTIONS") hub.handlePreflight({ request, response }, next);
    else next();
  };
  return Object.assign(middleware, { hub });
}

/** Defined once on the application's responses, so that a request costs no property definition. */
function defineGetter(request: ExpressRequest, response: ExpressResponse): void {
  if (EXCHANGE in response) return;
  if ("sse" in response) {
    throw new SseError("ERR_SSE_INVALID_OPTION", "Another middleware has defined `res.sse`");
  }
  const { response: prototype } = (request.app ?? {}) as { readonly response?: object };
  Object.defineProperties(prototype ?? response, {
    sse: { configurable: true, get: openSession },
    [EXCHANGE]: { configurable: true, writable: true, value: undefined },
  });
}

function openSession(this: BoundResponse): Session | undefined {
  // `undefined` for the prototype itself, and for a response that took another way round the middleware.
  return this[EXCHANGE]?.session;
}
