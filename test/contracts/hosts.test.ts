/**
 * Sessions made with `hub.createSession` in hosts without an adapter: errors that the host does not see, and unread
 * bodies.
 */

import { once } from "node:events";
import http from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { createHub } from "@tidewire/core";
import type { CloseReason, Exchange, Hub, HubOptions } from "@tidewire/core";
import { sse } from "@tidewire/express";
import express from "express";
import { Hono } from "hono";
import Koa from "koa";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import type { RequestOptions, StreamClient } from "../client.js";

// Their types name packages that are not installed, or do not compile under this project's settings.
const require = createRequire(import.meta.url);
const hapi = require("@hapi/hapi") as {
  server(options: object): { route(route: object): void; initialize(): Promise<void> };
};
const h3 = require("h3") as {
  H3: new () => { all(path: string, handler: unknown): void };
  fromNodeHandler(
    handler: (request: IncomingMessage, response: ServerResponse, next: () => void) => void,
  ): unknown;
  toNodeHandler(app: unknown): RequestListener;
};

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface HapiTools {
  readonly abandon: symbol;
}

/** A hub behind some host. The handler is called for each request and has to answer it. */
type Handler = (exchange: Exchange) => void;
interface Host {
  readonly name: string;
  /** Whether the host's own error handlers receive refused requests. */
  readonly hears: boolean;
  serve(
    server: http.Server,
    options: HubOptions,
    handler: (sse: Hub, exchange: Exchange) => void,
  ): Promise<Hub>;
}

function host(name: string, listen: (server: http.Server, handler: Handler) => unknown): Host {
  return {
    name,
    hears: false,
    async serve(server, options, handler) {
      const hub = createHub(options);
      await listen(server, (exchange) => handler(hub, exchange));
      return hub;
    },
  };
}

const HOSTS: readonly Host[] = [
  host("node:http", (server, handler) => {
    server.on("request", (incoming, response) => handler({ request: incoming, response }));
  }),
  host("Koa", (server, handler) => {
    const app = new Koa();
    app.use((context) => {
      // Koa does not touch the response.
      context.respond = false;
      handler({ request: context.req, response: context.res });
    });
    server.on("request", app.callback() as RequestListener);
  }),
  host("Hono", (server, handler) => {
    const app = new Hono<{
      Bindings: { incoming: http.IncomingMessage; outgoing: ServerResponse };
    }>();
    app.all("*", ({ env }) => {
      handler({ request: env.incoming, response: env.outgoing });
      return RESPONSE_ALREADY_SENT;
    });
    server.on("request", getRequestListener(app.fetch as never) as RequestListener);
  }),
  host("h3", (server, handler) => {
    const app = new h3.H3();
    app.all(
      "/**",
      // With a `next` parameter, h3 does not touch the response until it has ended.
      h3.fromNodeHandler((incoming, response, _next) => {
        handler({ request: incoming, response });
      }),
    );
    server.on("request", h3.toNodeHandler(app));
  }),
  host("hapi", async (server, handler) => {
    const app = hapi.server({ listener: server, autoListen: false });
    app.route({
      method: "*",
      path: "/{any*}",
      options: { payload: { output: "stream", parse: false } },
      handler: ({ raw }: { raw: { req: IncomingMessage; res: ServerResponse } }, h: HapiTools) => {
        handler({ request: raw.req, response: raw.res });
        return h.abandon;
      },
    });
    await app.initialize();
  }),
  {
    name: "Express",
    hears: true,
    async serve(server, options, handler) {
      const app = express();
      app.set("env", "test");
      const events = sse(options as object);
      app.use(events);
      app.use((incoming, response) => {
        const createSession = (): unknown => response.sse;
        handler({ createSession } as unknown as Hub, { request: incoming, response });
      });
      server.on("request", app as RequestListener);
      return events.hub as unknown as Hub;
    },
  },
];

describe.each(HOSTS)("$name", ({ hears, serve }) => {
  const heard: [string, unknown][] = [];

  async function start(
    handler: (hub: Hub, exchange: Exchange) => void,
    options: HubOptions = {},
    requestTimeout = 1_000,
  ): Promise<{ hub: Hub; get: (options?: RequestOptions) => Promise<StreamClient> }> {
    heard.length = 0;
    const server = http.createServer({
      requestTimeout,
      headersTimeout: 900,
      connectionsCheckingInterval: 100,
    });
    const hub = await serve(
      server,
      { onError: (error, { stage }) => void heard.push([stage, error]), ...options },
      handler,
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(async () => {
      await hub.close();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    });
    const { port } = server.address() as AddressInfo;
    return {
      hub,
      async get(given) {
        const client = await request({ port, protocol: "http1" }, "/", given);
        closers.push(() => client.cut());
        return client;
      },
    };
  }

  it("streams, and notices when the client leaves", async () => {
    let reason: CloseReason | undefined;
    const { hub, get } = await start((events, exchange) => {
      const session = events.createSession(exchange);
      session.onClose((why) => (reason = why));
      void session.subscribe("news");
    });
    const client = await get();
    await client.until("\n\n");
    await hub.publish("news", "one");
    await client.until("data: one\n");
    client.cut();
    await eventually("the session to close", () => reason !== undefined);
    expect(reason).toBe("client");
    expect(heard).toEqual([]);
  });

  it("does not lose an error of the CORS origin function", async () => {
    const fault = new Error("The list of origins cannot be read");
    const origin = (_origin: string | undefined, done: (error: Error) => void): void =>
      void setImmediate(done, fault);
    const { get } = await start(
      (events, exchange) => void events.createSession(exchange).subscribe("news"),
      { cors: { origin } },
    );
    const client = await get({ headers: { origin: "https://app.example" } });
    expect(client.status).toBe(500);
    expect(await client.rest()).toContain(hears ? "" : "Internal Server Error\n");
    expect(heard).toEqual(hears ? [] : [["cors", fault]]);
  });

  it("does not lose an error that a hook on the head throws", async () => {
    const fault = new Error("A hook on the head failed");
    const { get } = await start((events, exchange) => {
      const session = events.createSession(exchange);
      Object.assign(exchange.response, {
        writeHead() {
          // Only once: a host may write its own head when the response has ended.
          Reflect.deleteProperty(exchange.response, "writeHead");
          throw fault;
        },
      });
      void session.subscribe("news");
    });
    await expect(get()).rejects.toThrow("socket hang up");
    expect(heard).toEqual([["write", fault]]);
  });

  it("does not report a client that does not accept event streams", async () => {
    const { get } = await start((events, exchange) => {
      void events.createSession(exchange).subscribe("news");
    });
    expect((await get({ headers: { accept: "image/png" } })).status).toBe(406);
    expect(heard).toEqual([]);
  });

  it("keeps a stream beyond requestTimeout if the request has an unread body", async () => {
    let reason: CloseReason | undefined;
    const { hub, get } = await start((events, exchange) => {
      const session = events.createSession(exchange);
      session.onClose((why) => (reason = why));
      void session.subscribe("news");
    });
    const client = await get({
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: "x".repeat(900_000),
    });
    await client.until("\n\n");
    await delay(1_800);
    await hub.publish("news", "one");
    await client.until("data: one\n");
    expect(reason).toBeUndefined();
    // It also notices at once when its client leaves.
    client.cut();
    await eventually("the session to close", () => reason === "client");
  });

  it("leaves the body to code that reads it while the stream is open", async () => {
    let length = 0;
    // Node cuts a request that takes longer than this to arrive, on a busy machine as well.
    const requestTimeout = 4_000;
    const { get } = await start(
      (events, exchange) => {
        const session = events.createSession(exchange);
        session.open();
        void delay(300).then(async () => {
          for await (const part of exchange.request as AsyncIterable<Buffer>) {
            length += part.length;
            // In all longer than the quarter of `requestTimeout` after which an unread body is dropped.
            await delay(100);
          }
          void session.complete();
        });
      },
      {},
      requestTimeout,
    );
    const client = await get({ method: "POST", body: "x".repeat(500_000) });
    await client.rest();
    expect(length).toBe(500_000);
  });
});

it("hub.handlePreflight passes on the error of an origin function, or reports it if the host does not take it", async () => {
  const fault = new Error("The list of origins cannot be read");
  const heard: unknown[] = [];
  const hub = createHub({
    cors: { origin: (_origin, done) => done(fault) },
    onError: (error, { stage }) => void heard.push([stage, error]),
  });
  const passed: unknown[] = [];
  const server = http.createServer((incoming, response) => {
    const exchange = { request: incoming, response };
    const end = (): void => void response.end();
    if (incoming.url === "/deaf") hub.handlePreflight(exchange, end);
    else {
      hub.handlePreflight(exchange, (error) => {
        passed.push(error);
        end();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(
    () => hub.close(),
    () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  );
  const target = { port: (server.address() as AddressInfo).port, protocol: "http1" } as const;
  const headers = { origin: "https://app.example", "access-control-request-method": "GET" };
  for (const path of ["/", "/deaf"]) {
    await (await request(target, path, { method: "OPTIONS", headers })).rest();
  }
  expect(passed).toEqual([fault]);
  expect(heard).toEqual([["cors", fault]]);
});
