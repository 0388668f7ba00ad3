import type { RegisteredChannels } from "@tidewire/core";
import { resolveHub } from "@tidewire/core/adapter";
import type { AnyHub } from "@tidewire/core/adapter";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import fastifyPlugin from "fastify-plugin";
import { FastifyExchange, HANDLED } from "./fastify-exchange.js";
import type { Hub, HubOptions, Session } from "./hub.js";

/** Named here: inside the module of Fastify `Session` is what session plugins have added under that name. */
type ReplySession = Session;

declare module "fastify" {
  interface FastifyInstance {
    /** The hub: owner of all event streams of this instance. */
    readonly sse: Hub;
  }
  interface FastifyReply {
    /**
     * The event stream to this client. Reading it costs nothing and commits nothing: the route may still
     * answer in any other way. A handler that uses it returns `reply`; once the stream is open it may also return
     * nothing.
     */
    readonly sse: ReplySession;
  }
}

/** Options of `ssePlugin`: those of a hub, or the hub itself to share it with another server. */
export type SsePluginOptions =
  | (HubOptions & { readonly hub?: undefined })
  | { readonly hub: AnyHub<FastifyRequest> };

const SESSION: unique symbol = Symbol("tidewire.session");
type BoundReply = FastifyReply & { [SESSION]: Session | null; [HANDLED]: boolean };

const register: FastifyPluginAsync<SsePluginOptions> = async (app, options) => {
  const hub = hubOf(options);

  app.decorate("sse", hub);
  app.decorateReply(SESSION, null);
  app.decorateReply(HANDLED, false);
  app.decorateReply("sse", {
    getter(this: FastifyReply): Session {
      const reply = this as BoundReply;
      reply[SESSION] ??= hub.createSession(new FastifyExchange(reply));
      return reply[SESSION];
    },
  });
  app.addHook("onRoute", (route) => {
    const { handler } = route;
    route.handler = function markHandled(request, reply) {
      (reply as BoundReply)[HANDLED] = true;
      return handler.call(this, request, reply);
    };
  });
  app.addHook("onRequest", (request, reply, done) => {
    if (request.method === "OPTIONS") hub.handlePreflight(new FastifyExchange(reply), asDone(done));
    else done();
  });
  // Without this app.close() waits for streams that never end by themselves.
  app.addHook("preClose", () => hub.close());
};

/**
 * The plugin: `reply.sse` is the event stream to one client, `fastify.sse` the hub.
 *
 * The whole lifecycle of a reply is kept: `onSend` hooks run before the head, `onResponse` hooks when the
 * stream ends. Closing the instance closes the hub, also one that was passed in.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` from `register` if an option is unknown or not what it may be.
 */
export const ssePlugin: FastifyPluginAsync<SsePluginOptions> = fastifyPlugin(register, {
  fastify: "5.x",
  name: "@tidewire/fastify",
});

/** What `fastify.register` itself takes beside a plugin's options. */
const REGISTER_OPTIONS: ReadonlySet<string> = new Set(["prefix", "logLevel", "logSerializers"]);

function hubOf(options: SsePluginOptions): Hub {
  const own = Object.entries(options).filter(([name]) => !REGISTER_OPTIONS.has(name));
  return resolveHub<RegisteredChannels, FastifyRequest>(
    Object.fromEntries(own) as SsePluginOptions,
  );
}

function asDone(done: (error?: Error) => void): (error?: unknown) => void {
  return (error) => done(error as Error | undefined);
}
