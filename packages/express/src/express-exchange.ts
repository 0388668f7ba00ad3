/** One Express request and its response. `sse()` puts it on the response; the session is created when it is read. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Exchange } from "@tidewire/core/adapter";
import type { Request } from "express";
import type { Hub, Session } from "./hub.js";

/** Passes control to the next handler or, with an error, to the next error handler. */
export type NextFunction = (error?: unknown) => void;

/** Everything a response needs to create its session. */
export class ExpressExchange implements Exchange {
  readonly response: ServerResponse;
  readonly hub: Hub;
  /** The `next` of the router in which the request passed `sse()`, or of the middleware if there is no router. */
  readonly next: NextFunction;
  /** The exchange that `sse()` of another hub put there before; `undefined` if there is none. */
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
    // `request` is not declared with Express's type: applications without Express's types would not compile.
    this.#session ??= this.hub.createSession(this as unknown as Exchange & { context: Request });
    return this.#session;
  }

  /** Whether the session is answering or has answered. */
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

/** The `next` of the router that handles the request now. */
function nextOf(response: ServerResponse): NextFunction | undefined {
  return (response.req as { readonly next?: NextFunction }).next;
}
