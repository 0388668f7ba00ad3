/** Keeps Express from printing that a client has left. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { isSessionAbort } from "@tidewire/core/adapter";
import type { NextFunction } from "./express-exchange.js";

/** An application of Express, as far as it is needed here. */
interface Application {
  /** The one that it is mounted in. */
  readonly parent?: Application;
  use(
    handler: (
      error: unknown,
      request: IncomingMessage,
      response: ServerResponse,
      next: NextFunction,
    ) => void,
  ): unknown;
}

/** Applications that have the handler. */
const prepared: WeakSet<object> = new WeakSet();

/**
 * Adds an error handler behind all that an application has, with its first request: it takes what a route fails with
 * because it had passed on the `signal` of its session, and the client has left. All other error handlers come first. What
 * none of them takes Express prints, and answers nobody.
 */
export function takeClientAborts(request: IncomingMessage): void {
  let { app } = request as { app?: Application };
  while (app?.parent !== undefined) app = app.parent;
  if (typeof app?.use !== "function" || prepared.has(app)) return;
  prepared.add(app);
  app.use((error, _request, response, next) => {
    // Of a response that is not over the client still waits: what has failed is shared by several requests.
    const isOver = response.destroyed || response.writableEnded;
    if (!(isOver && isSessionAbort(error))) next(error);
  });
}
