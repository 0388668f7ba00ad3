/** Keeps Express from printing an error when a client has left. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { isSessionAbort } from "@tidewire/core/adapter";
import type { NextFunction } from "./express-exchange.js";

/** The parts of an Express application that are used here. */
interface Application {
  /** The application that it is mounted in. */
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

/** Applications that already have the handler. */
const prepared: WeakSet<object> = new WeakSet();

/**
 * Adds an error handler after all others of an application, on its first request. It swallows errors of routes that
 * passed on their session's `signal` and failed because the client left. All other error handlers come first. Without
 * this, Express would print such an error and answer a client that is gone.
 */
export function takeClientAborts(request: IncomingMessage): void {
  let { app } = request as { app?: Application };
  while (app?.parent !== undefined) app = app.parent;
  if (typeof app?.use !== "function" || prepared.has(app)) return;
  prepared.add(app);
  app.use((error, _request, response, next) => {
    // If the response is still open, its client is waiting: the failed operation was shared by several requests.
    const isOver = response.destroyed || response.writableEnded;
    if (!(isOver && isSessionAbort(error))) next(error);
  });
}
