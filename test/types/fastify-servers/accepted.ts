import { createServer } from "node:http";
import type { Server } from "node:http";
import type { Http2Server } from "node:http2";
import { createHub as createCoreHub } from "@tidewire/core";
import { createHub, sseHandler, ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import type { FastifyPluginAsync, FastifyRequest, RouteGenericInterface } from "fastify";

interface Channels {
  news: { headline: { title: string } };
}
type Http2Request = FastifyRequest<RouteGenericInterface, Http2Server>;

declare function isHttp2User(request: Http2Request): boolean;
declare function isUser(request: FastifyRequest): boolean;
declare function isAnyUser(request: FastifyRequest | Http2Request): boolean;

const TLS = { key: "", cert: "" };

/** On HTTP/2 without TLS. */
export async function useHttp2(): Promise<void> {
  const fastify = Fastify({ http2: true, return503OnClosing: false });
  await fastify.register(ssePlugin);
  fastify.get("/", sseHandler("news"));
  fastify.get("/many", sseHandler(["news", "prices"], { latest: 5 }));
  fastify.get("/options", { logLevel: "warn" }, sseHandler("news"));
  fastify.route({ method: "GET", url: "/route", handler: sseHandler("news") });
  fastify.setNotFoundHandler(sseHandler("news"));
  fastify.get(
    "/function",
    sseHandler((request) => `user:${request.id}`),
  );
  fastify.get(
    "/later",
    sseHandler("news", async ({ headers }) => ({ latest: Number(headers["x-latest"]) })),
  );
  fastify.get<{ Params: { id: string } }>(
    "/users/:id",
    sseHandler((request) => `user:${request.params.id}`),
  );
  fastify.get<{ Params: { id: string } }>(
    "/own/:id",
    sseHandler((request) => `user:${request.params.id} ${request.raw.stream.id}`),
  );
  fastify.get(
    "/named",
    sseHandler((request: Http2Request) => (isHttp2User(request) ? "news" : "prices")),
  );
  fastify.get(
    "/both",
    sseHandler((request: FastifyRequest | Http2Request) => (isAnyUser(request) ? "a" : "b")),
  );
  fastify.get("/reply", (_request, reply) => {
    void reply.sse.subscribe("news");
    return reply;
  });
  fastify.get("/audit", sseHandler<{ audit: { entry: string } }>("audit", { latest: 1 }));
  // @ts-expect-error -- That hub has no such channel.
  fastify.get("/audits", sseHandler<{ audit: { entry: string } }>("audits"));
  await fastify.sse.publish("news", "a");
  fastify.get(
    "/http1",
    // @ts-expect-error -- No request of HTTP/2 is one of HTTP/1.
    sseHandler((request: FastifyRequest) => (isUser(request) ? "a" : "b")),
  );
}

/** On HTTP/2 with TLS, and HTTP/1 on the same port. */
export async function useSecureHttp2(): Promise<void> {
  const fastify = Fastify({ http2: true, https: { allowHTTP1: true, ...TLS } });
  await fastify.register(ssePlugin);
  fastify.get("/", sseHandler("news"));
  fastify.get(
    "/function",
    sseHandler((request) => `user:${request.id}`),
  );
  fastify.get<{ Params: { id: string } }>(
    "/users/:id",
    sseHandler((request) => `user:${request.params.id}`),
  );
  await fastify.register(async (scope) => {
    scope.get("/scope", sseHandler("news"));
  });
}

/** On HTTP/1 with TLS, and on a server of the application's own. */
export async function useHttp1(): Promise<void> {
  const secure = Fastify({ https: TLS });
  await secure.register(ssePlugin);
  secure.get("/", sseHandler("news"));
  secure.get(
    "/function",
    sseHandler((request) => `user:${request.raw.headersDistinct["x-user"]?.[0]}`),
  );
  const own = Fastify({ serverFactory: (handler): Server => createServer(handler) });
  await own.register(ssePlugin);
  own.get("/", sseHandler("news"));
  own.get(
    "/function",
    sseHandler((request) => (isUser(request) ? "news" : "prices")),
  );
  own.get("/audit", sseHandler<{ audit: { entry: string } }>("audit", { latest: 1 }));
  own.get(
    "/audits",
    sseHandler<{ audit: { entry: string } }>((request) => (isUser(request) ? "audit" : [])),
  );
  own.get(
    "/raw",
    sseHandler((request) => `user:${request.raw.headersDistinct["x-user"]?.[0]}`),
  );
  const routes: FastifyPluginAsync = async (scope) => {
    scope.get("/", sseHandler("news"));
    scope.get(
      "/function",
      sseHandler((request) => (isUser(request) ? "news" : "prices")),
    );
  };
  await own.register(routes);
}

/** `authorize` with HTTP/2 requests. */
export async function authorize(): Promise<void> {
  const fastify = Fastify({ http2: true });
  await fastify.register(ssePlugin, {
    authorize: (_channel, { request }) => request.headers.cookie === "a",
  });
  const plain = createHub({
    authorize: (_channel, { request }) => request.headers.cookie === "a" && isUser(request),
  });
  await fastify.register(ssePlugin, { hub: plain, decorator: "plain" });
  const hub = createHub<Channels, Http2Request>({
    authorize: (channel, { request }) => channel === "news" && isHttp2User(request),
  });
  await fastify.register(ssePlugin, { hub, decorator: "typed" });
  const both = createHub<Channels, FastifyRequest | Http2Request>({
    authorize: (_channel, { request }) => isAnyUser(request),
  });
  await fastify.register(ssePlugin, { hub: both, decorator: "both" });
  await Fastify().register(ssePlugin, { hub: both });
  // @ts-expect-error -- Requests of Fastify are not requests of Node.
  await fastify.register(ssePlugin, { hub: createCoreHub() });
}
