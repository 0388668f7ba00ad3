/** One request of Express and its response: what `sse()` leaves on a response, and its session once that is read. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Exchange } from "@tidewire/core/adapter";
import type { Request } from "express";
import type { Hub, Session } from "./hub.js";

/** Goes on to the next handler, or with an error to the next error handler. */
export type NextFunction = (error?: unknown) => void;

/** All that a response needs to make its session. */
export class ExpressExchange implements Exchange {
  readonly response: ServerResponse;
  readonly hub: Hub;
  /** That of the router in which the request has passed `sse()`, or of the middleware where there is no router. */
  readonly next: NextFunction;
  /** What `sse()` of another hub has left before; `undefined` if none has. */
  readonly outer: ExpressExchange | undefined;
  #session: Session | undefined;

  constructor(
    response: ServerResponse,
    hub: Hub,
    next: NextFunction,
    outer: ExpressExchange | undefined,
  ) {
    this.response = response;
    this.hub = hub;
    this.next = nextOf(response) ?? next;
    this.outer = outer;
  }

  get session(): Session {
    // Not Express's type in the declaration of `request`: an application without its types would not compile.
    this.#session ??= this.hub.createSession(this as unknown as Exchange & { context: Request });
    return this.#session;
  }

  /** Whether the session has begun to answer, or has answered. */
  get isInUse(): boolean {
    return this.#session !== undefined && this.#session.state !== "idle";
  }

  get request(): IncomingMessage {
    return this.response.req;
  }

  refuse(error: unknown): void {
    // The router that handles the request now: its own error handlers come first.
    (nextOf(this.response) ?? this.next)(error);
  }
}

/** That of the router that handles the request now. */
function nextOf(response: ServerResponse): NextFunction | undefined {
  return (response.req as { readonly next?: NextFunction }).next;
}
