import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";

/** A request that reached a stream's route, and its session. */
export interface Exchange {
  readonly session: Session;
  readonly headers: NodeJS.Dict<string | string[]>;
}

/** A real server on a free port: an empty page at `/` and one event stream at `/events`. */
export interface TestServer {
  /** `http://localhost:` and the port. */
  readonly origin: string;
  /** Requests for the stream so far. */
  readonly requests: readonly Exchange[];
  /** Status of each finished answer to such a request. */
  readonly statuses: readonly number[];
  readonly hub: Hub;
  /** Breaks all connections without ending them. */
  cut(): void;
  close(): Promise<void>;
}

export interface TestServerOptions {
  /** Handles a client of the route. */
  readonly onStream: (session: Session, count: number) => void;
  /** Options of the hub. */
  readonly hub?: HubOptions | undefined;
}

type StartServer = (options: TestServerOptions) => Promise<TestServer>;

const PAGE = "<!doctype html><title>Test</title>";

/** A cookie that the page sets, to observe where it is sent. */
export const COOKIE = "crew=tide";

/** The three ways to serve an event stream. */
export const SERVERS: readonly (readonly [name: string, start: StartServer])[] = [
  ["Express", startExpress],
  ["Fastify", startFastify],
  ["node:http", startHttp],
];

export async function startExpress({ onStream, hub }: TestServerOptions): Promise<TestServer> {
  const requests: Exchange[] = [];
  const statuses: number[] = [];
  const events = sse(hub);
  const app = express();
  app.use(events);
  app.get("/", (_req, res) => void res.cookie("crew", "tide").type("html").send(PAGE));
  app.get("/events", (req, res) => {
    res.once("close", () => statuses.push(res.statusCode));
    requests.push({ session: res.sse, headers: req.headers });
    onStream(res.sse, requests.length);
  });
  const server = createServer(app);
  await once(server.listen(0), "listening");
  return {
    origin: originOf(server.address()),
    requests,
    statuses,
    hub: events.hub,
    cut: () => server.closeAllConnections(),
    async close() {
      await events.hub.close();
      server.close().closeAllConnections();
    },
  };
}

export async function startFastify({ onStream, hub }: TestServerOptions): Promise<TestServer> {
  const requests: Exchange[] = [];
  const statuses: number[] = [];
  const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
  await fastify.register(ssePlugin, hub ?? {});
  fastify.get("/", (_request, reply) =>
    reply.header("Set-Cookie", `${COOKIE}; Path=/`).type("text/html").send(PAGE),
  );
  fastify.get("/events", (request, reply) => {
    reply.raw.once("close", () => statuses.push(reply.raw.statusCode));
    requests.push({ session: reply.sse, headers: request.headers });
    onStream(reply.sse, requests.length);
    return reply;
  });
  await fastify.listen({ port: 0 });
  return {
    origin: originOf(fastify.server.address()),
    requests,
    statuses,
    hub: fastify.sse,
    cut: () => fastify.server.closeAllConnections(),
    close: () => fastify.close(),
  };
}

async function startHttp({ onStream, hub: options }: TestServerOptions): Promise<TestServer> {
  const requests: Exchange[] = [];
  const statuses: number[] = [];
  const hub = createHub(options);
  const server = createServer((request, response) => {
    if (request.url === "/") {
      response.setHeader("Set-Cookie", `${COOKIE}; Path=/`);
      return void response.setHeader("Content-Type", "text/html").end(PAGE);
    }
    if (!request.url?.startsWith("/events")) return void response.writeHead(404).end();
    response.once("close", () => statuses.push(response.statusCode));
    const session = hub.createSession({ request, response });
    requests.push({ session, headers: request.headers });
    onStream(session, requests.length);
  });
  await once(server.listen(0), "listening");
  return {
    origin: originOf(server.address()),
    requests,
    statuses,
    hub,
    cut: () => server.closeAllConnections(),
    async close() {
      await hub.close();
      server.close().closeAllConnections();
    },
  };
}

function originOf(address: AddressInfo | string | null): string {
  if (typeof address !== "object" || address === null) throw new Error("Expected a port");
  return `http://localhost:${address.port}`;
}
