import { once } from "node:events";
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import http2 from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { createHub } from "@tidewire/core";
import type { Exchange, Hub, HubOptions, Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express5 from "express";
import express4 from "express4";
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

/** The view that a contract's handler has of any framework. */
export interface TestExchange {
  /** Read as late as a handler of the framework would read it, because reading creates the session. */
  readonly sse: Session;
  readonly request: Exchange["request"];
  readonly response: Exchange["response"];
  /** Sets a header through the framework. */
  setHeader(name: string, value: string | string[]): void;
  /** Answers in the framework's usual way. */
  answer(status: number, body: unknown): void;
}

export type Handler = (exchange: TestExchange) => unknown;

/** A listening server that runs one handler for every path and method. */
export interface Served {
  readonly protocol: "http1" | "http2";
  readonly port: number;
  readonly hub: Hub;
  readonly server: Server;
  /** Shuts down as the binding's documentation says. */
  close(): Promise<void>;
}

/** A framework with a version of HTTP. */
export interface Binding {
  readonly name: string;
  readonly protocol: "http1" | "http2";
  /** Whether the framework answers when a handler throws. */
  readonly hasErrorHandler: boolean;
  serve(handler: Handler, options?: HubOptions): Promise<Served>;
}

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

function nodeBinding(protocol: "http1" | "http2"): Binding {
  return {
    name: protocol === "http1" ? "node:http" : "node:http2",
    protocol,
    hasErrorHandler: false,
    async serve(handler, options) {
      const hub = createHub(options);
      const listener = (request: Exchange["request"], response: Exchange["response"]): void => {
        hub.handlePreflight({ request, response }, () => {
          let session: Session | undefined;
          void run(handler, {
            get sse() {
              return (session ??= hub.createSession({ request, response }));
            },
            request,
            response,
            setHeader: (name, value) => void response.setHeader(name, value),
            answer(status, body) {
              (response as ServerResponse).writeHead(status, {
                "Content-Type": "application/json",
              });
              response.end(JSON.stringify(body));
            },
          }).catch(() => void response.destroy());
        });
      };
      const server =
        protocol === "http1" ? http.createServer(listener) : http2.createServer(listener);
      return served(protocol, server, hub);
    },
  };
}

function expressBinding(name: string, create: () => ReturnType<typeof express5>): Binding {
  return {
    name,
    protocol: "http1",
    hasErrorHandler: true,
    async serve(handler, options) {
      const app = create();
      const events = sse(options);
      // Without this, Express prints every error that reaches it.
      app.set("env", "test");
      app.use(events);
      app.use((request, response, next) => {
        // Express 4 does not support promises, so errors of async handlers are passed on explicitly.
        run(handler, {
          get sse() {
            return response.sse;
          },
          request,
          response,
          setHeader: (header, value) => void response.setHeader(header, value),
          answer: (status, body) => void response.status(status).json(body),
        }).catch(next);
      });
      return served("http1", http.createServer(app as unknown as RequestListener), events.hub);
    },
  };
}

function fastifyBinding(protocol: "http1" | "http2"): Binding {
  return {
    name: protocol === "http1" ? "Fastify 5" : "Fastify 5 on HTTP/2",
    protocol,
    hasErrorHandler: true,
    async serve(handler, options) {
      const app = (protocol === "http1"
        ? Fastify({ return503OnClosing: false })
        : Fastify({ http2: true, return503OnClosing: false })) as unknown as FastifyInstance;
      await app.register(ssePlugin, options ?? {});
      // Leaves the body to the handler, as node:http and Express do.
      app.removeAllContentTypeParsers();
      app.addContentTypeParser("*", (_request, _payload, done) => done(null));
      app.route({
        method: ["GET", "HEAD", "POST", "PUT"],
        url: "/*",
        async handler(request: FastifyRequest, reply: FastifyReply) {
          await run(handler, {
            get sse() {
              return reply.sse;
            },
            request: request.raw,
            response: reply.raw,
            setHeader: (name, value) => void reply.header(name, value),
            answer: (status, body) => void reply.code(status).send(body),
          });
          return reply;
        },
      });
      await app.listen({ port: 0, host: "127.0.0.1" });
      return {
        protocol,
        port: (app.server.address() as AddressInfo).port,
        hub: app.sse,
        server: app.server,
        close: () => app.close(),
      };
    },
  };
}

async function run(handler: Handler, exchange: TestExchange): Promise<void> {
  await handler(exchange);
}

async function served(protocol: "http1" | "http2", server: Server, hub: Hub): Promise<Served> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    protocol,
    port: (server.address() as AddressInfo).port,
    hub,
    server,
    async close() {
      await hub.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

export const BINDINGS: readonly Binding[] = [
  nodeBinding("http1"),
  nodeBinding("http2"),
  expressBinding("Express 4", express4),
  expressBinding("Express 5", express5),
  fastifyBinding("http1"),
  fastifyBinding("http2"),
];
