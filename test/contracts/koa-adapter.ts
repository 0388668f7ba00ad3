/** An adapter to Koa, `context.sse`: docs/contribute/adapters.md. */
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { resolveHub } from "@tidewire/core/adapter";
import type { AnyHub, Exchange } from "@tidewire/core/adapter";
import type { Context, DefaultState, Middleware } from "koa";

/** A context behind the middleware. */
export interface WithSse {
  readonly sse: Session;
}

/** Makes the middleware. Takes the options of a hub, or `{ hub }` to share one. */
export function koaSse(
  options: (HubOptions & { readonly hub?: undefined }) | { readonly hub: AnyHub } = {},
): Middleware<DefaultState, WithSse> & { readonly hub: Hub } {
  const hub = resolveHub(options);

  const middleware: Middleware<DefaultState, WithSse> = async (context, next) => {
    const exchange = new KoaExchange(context);
    if (context.method === "OPTIONS" && (await isPreflight(hub, exchange))) {
      context.respond = false;
      return;
    }
    let session: Session | undefined;
    Object.defineProperty(context, "sse", {
      configurable: true,
      get: () => (session ??= hub.createSession(exchange)),
    });
    try {
      await next();
    } catch (error) {
      // Koa can answer this only if no stream has begun.
      if (session !== undefined && session.state !== "idle") session.close();
      throw error;
    } finally {
      exchange.isOver = true;
      const isAnswering = session !== undefined && session.state !== "idle";
      // Koa answers when the middleware has ended, unless `respond` is `false`.
      if (isAnswering || exchange.isWaiting) context.respond = false;
    }
  };
  return Object.assign(middleware, { hub });
}

class KoaExchange implements Exchange {
  /** Whether the session waits for `authorize`, CORS or the log before its stream can start. */
  isWaiting = false;
  /** Whether the middleware behind this one has returned. */
  isOver = false;
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  get request(): Exchange["request"] {
    return this.#context.req;
  }

  get response(): Exchange["response"] {
    return this.#context.res;
  }

  wait(isWaiting: boolean): void {
    this.isWaiting = isWaiting;
    // No stream follows, but `respond` is already `false`.
    if (!isWaiting && this.isOver) this.#context.res.writeHead(404).end();
  }

  refuse(error: unknown): void {
    this.#context.onerror(error as Error);
  }
}

/** Whether the request was a CORS preflight that the hub has answered. */
function isPreflight(hub: Hub, exchange: KoaExchange): Promise<boolean> {
  return new Promise((resolve, reject) => {
    exchange.response.once("close", () => resolve(true));
    hub.handlePreflight(exchange, (error) => {
      if (error === undefined || error === null) resolve(false);
      else reject(error as Error);
    });
  });
}
