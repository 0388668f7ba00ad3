/** The plugin: gives every reply in a scope an event stream, and the scope its hub. */

import { SseError } from "@tidewire/core";
import type { ChannelsOf, RegisteredChannels } from "@tidewire/core";
import { resolveHub } from "@tidewire/core/adapter";
import type { AnyHub } from "@tidewire/core/adapter";
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import fastifyPlugin from "fastify-plugin";
import { FastifyExchange } from "./fastify-exchange.js";
import type { Http2Request, Hub, HubOptions, Session } from "./hub.js";
import { FAILED, IN_HOOKS, PROGRESS, setProgress } from "./reply-progress.js";
import type { TrackedReply } from "./reply-progress.js";
import { warnOfUnavailable } from "./unavailable.js";

/** Options of `ssePlugin`: those of a hub, or a hub to share with another server; and a name. */
export type SsePluginOptions = (
  | (HubOptions & { readonly hub?: undefined })
  | { readonly hub: AnyHub<FastifyRequest> | AnyHub<Http2Request> }
) &
  DecoratorOptions;

/** Options of `ssePlugin` besides those of a hub. */
export interface DecoratorOptions {
  /**
   * Name of the event stream on replies and of the hub on the instance. For programs that already use this name, or
   * that have two hubs. TypeScript needs a declaration for any other name: see {@link ReplyWithSse} and {@link
   * InstanceWithSse}.
   *
   * @defaultValue `"sse"`: `reply.sse`, `fastify.sse`
   */
  readonly decorator?: string | undefined;
}

/**
 * Replies with their event stream under a name, for your own declaration:
 *
 * ```ts
 * declare module "fastify" {
 *   interface FastifyReply extends ReplyWithSse<"events"> {}
 *   interface FastifyInstance extends InstanceWithSse<"events"> {}
 * }
 * ```
 *
 * `@tidewire/fastify` declares `reply.sse` and `fastify.sse` itself; `@tidewire/fastify/bare` declares nothing.
 *
 * @typeParam Decorator - The option `decorator` of `ssePlugin`.
 * @typeParam Channels - As for `createHub`: the channels of the hub of that name.
 */
export type ReplyWithSse<
  Decorator extends string = "sse",
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
> = { readonly [Name in Decorator]: Session<Channels> };

/**
 * Instances with their hub under a name, for your own declaration: see {@link ReplyWithSse}.
 *
 * @typeParam Decorator - The option `decorator` of `ssePlugin`.
 * @typeParam Channels - As for `createHub`: the channels of the hub of that name.
 */
export type InstanceWithSse<
  Decorator extends string = "sse",
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
> = { readonly [Name in Decorator]: Hub<Channels> };

/** Names used in each scope. */
const NAMES: WeakMap<object, ReadonlySet<string>> = new WeakMap();

const register: FastifyPluginAsync<SsePluginOptions> = async (app, options) => {
  const { decorator = "sse", hub: given } = options;
  checkName(app, decorator);
  const hub = hubOf(options);
  /** Unique to this hub, because a reply may have streams of several hubs. */
  const session: unique symbol = Symbol(`tidewire.session.${decorator}`);
  type BoundReply = TrackedReply & { [session]: Session | null };

  decorate(app, decorator, hub, {
    getter(this: FastifyReply): Session {
      const reply = this as BoundReply;
      reply[session] ??= hub.createSession(new FastifyExchange(reply));
      return reply[session];
    },
    // In an inner scope, @fastify/sse sets `reply.sse` on its own routes, where the name belongs to it.
    setter(this: FastifyReply, value: unknown): void {
      Object.defineProperty(this, decorator, { configurable: true, writable: true, value });
    },
  });
  app.decorateReply(session, null);
  if (!app.hasReplyDecorator(PROGRESS)) app.decorateReply(PROGRESS, 0);

  app.addHook("onRequest", (request, reply: TrackedReply, done) => {
    setProgress(reply, IN_HOOKS, 0);
    // The innermost hub serves the routes of its scope.
    const { [decorator]: innermost } = reply.server as unknown as Record<string, unknown>;
    if (request.method !== "OPTIONS" || innermost !== hub) return done();
    hub.handlePreflight(new FastifyExchange(reply), asDone(done));
  });
  app.addHook("preHandler", (_request, reply: TrackedReply, done) => {
    setProgress(reply, 0, IN_HOOKS | FAILED);
    done();
  });
  app.addHook("onError", (_request, reply: TrackedReply, _error, done) => {
    setProgress(reply, FAILED, 0);
    done();
  });
  app.addHook("onReady", (done) => {
    checkNeighbours(app, decorator);
    warnOfUnavailable(app, decorator);
    done();
  });
  // Without this, app.close() waits for streams that never end by themselves.
  app.addHook("preClose", () => (given === undefined ? hub.close() : hub.closeServer(app.server)));
};

/**
 * The plugin: `reply.sse` is the event stream to one client, `fastify.sse` the hub.
 *
 * The reply keeps its whole lifecycle: `onSend` hooks run before the head, `onResponse` hooks when the stream ends.
 * Routes and the not-found handler of the scope may be registered before the plugin. An inner scope may have its own
 * hub, which its routes then see.
 *
 * Closing the instance ends its streams and closes the hub. A hub that was passed in stays open for the other servers
 * that share it.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` from `register` if an option is unknown or invalid, if the plugin is
 *   registered twice in one scope under one name, or if another plugin has taken that name.
 */
export const ssePlugin: FastifyPluginAsync<SsePluginOptions> = fastifyPlugin(register, {
  fastify: "5.x",
  name: "@tidewire/fastify",
});

/** Options of `fastify.register` itself, which are not for the hub. */
const OTHER_OPTIONS: ReadonlySet<string> = new Set([
  "prefix",
  "logLevel",
  "logSerializers",
  "decorator",
]);

function hubOf(options: SsePluginOptions): Hub {
  // A hub passed instead of options has no enumerable properties; this call reports the mistake.
  const isHub = Object.getPrototypeOf(Object.getPrototypeOf(options)) !== null;
  const own = Object.entries(options).filter(([name]) => !OTHER_OPTIONS.has(name));
  // The request types of its sessions exist only for the compiler.
  return resolveHub<RegisteredChannels, FastifyRequest>(
    (isHub ? options : Object.fromEntries(own)) as HubOptions,
    ["decorator"],
  );
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name is invalid or taken in this scope. */
function checkName(app: FastifyInstance, decorator: unknown): asserts decorator is string {
  if (typeof decorator !== "string" || decorator === "") {
    const given = `${String(decorator)} (${typeof decorator})`;
    throw invalid(`Expected \`decorator\` to be a non-empty string, got ${given}`);
  }
  checkNeighbours(app, decorator);
  if (NAMES.get(app)?.has(decorator) !== true) return;
  throw invalid(
    `@tidewire/fastify is registered twice in one scope as \`${decorator}\`: register it once, or give the second one ` +
      "another name with the option `decorator`",
  );
}

/** @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name belongs to a plugin that does not decorate replies. */
function checkNeighbours(app: FastifyInstance, decorator: string): void {
  if (decorator !== "sse" || !app.hasPlugin("@fastify/sse")) return;
  throw invalid(
    "@fastify/sse already has `reply.sse`: choose another name with the option `decorator`, and import " +
      "`@tidewire/fastify/bare`",
  );
}

function decorate(
  app: FastifyInstance,
  decorator: string,
  hub: Hub,
  accessor: { getter: (this: FastifyReply) => unknown; setter: (value: unknown) => void },
): void {
  try {
    app.decorate(decorator, hub);
    app.decorateReply(decorator, accessor as { getter: () => unknown });
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== "FST_ERR_DEC_ALREADY_PRESENT") throw error;
    throw invalid(
      `Fastify or another plugin already has \`${decorator}\`: choose another name with the option \`decorator\``,
      error,
    );
  }
  NAMES.set(app, new Set(NAMES.get(app)).add(decorator));
}

function invalid(message: string, cause?: unknown): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message, { cause });
}

function asDone(done: (error?: Error) => void): (error?: unknown) => void {
  return (error) => done(error as Error | undefined);
}
