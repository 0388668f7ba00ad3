/** Servers that listen only while a stream of this package needs them. */

import { once } from "node:events";
import { Server, createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { describeValue } from "@tidewire/core/adapter";
import { SseError } from "@tidewire/core";

/** An Express application, and any other listener of requests. */
export type RequestListener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A Fastify instance, as far as this package uses it. */
export interface FastifyLike {
  /** Loads the plugins. */
  ready(): PromiseLike<unknown>;
  /** Its server, which may listen. */
  readonly server: object;
  /** Answers a request without a socket. */
  readonly inject: (...given: never[]) => unknown;
}

/** Serves the streams: an Express application, a Fastify instance, a server of `node:http` or `node:https`, or a URL. */
export type StreamTarget = RequestListener | FastifyLike | Server | string | URL;

/** A place to connect to. */
export interface Place {
  /** The URL with its port, without a path. */
  readonly origin: string;
  /** Whether the certificate is that of a server of this process, which is not checked. */
  readonly isOwn: boolean;
  /** Gives the place back. The last one closes a server that did not listen before. */
  leave(): Promise<void>;
}

/** Servers that this package has made listen, with the number of places in use. */
const USERS = new WeakMap<Server, { count: number; readonly started: Promise<unknown> }>();
/** Servers that are being closed. Until then they cannot listen again. */
const STOPPING = new WeakMap<Server, Promise<void>>();
/** One server for each application. */
const SERVERS = new WeakMap<RequestListener, Server>();

/**
 * Finds the place that a target listens on, and lets it listen on a free port of this machine if it does not yet.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if there is no such place.
 */
export async function enter(target: StreamTarget): Promise<Place> {
  if (typeof target === "string" || target instanceof URL) {
    const origin = originOf(target);
    return { origin, isOwn: false, leave: async () => {} };
  }
  const server = await serverOf(target);
  while (STOPPING.has(server)) await STOPPING.get(server);
  const users = USERS.get(server);
  if (users !== undefined) users.count += 1;
  else if (!server.listening) USERS.set(server, { count: 1, started: startListening(server) });
  const own = USERS.get(server);
  await own?.started;
  const scheme = server instanceof TlsServer ? "https" : "http";
  let isLeft = false;
  return {
    origin: `${scheme}://${hostOf(server.address())}`,
    isOwn: true,
    async leave() {
      if (own === undefined || isLeft) return;
      isLeft = true;
      own.count -= 1;
      if (own.count > 0) return;
      USERS.delete(server);
      const stopping = stopListening(server).finally(() => STOPPING.delete(server));
      STOPPING.set(server, stopping);
      await stopping;
    },
  };
}

/** @returns Whether a target is a Fastify instance. */
export function isFastify(target: unknown): target is FastifyLike {
  if (typeof target !== "object" || target === null) return false;
  return "inject" in target && "ready" in target && "server" in target;
}

function originOf(url: string | URL): string {
  const { protocol, origin } = typeof url === "string" ? parseUrl(url) : url;
  if (protocol === "http:" || protocol === "https:") return origin;
  throw invalidTarget(String(url));
}

function parseUrl(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw invalidTarget(url);
}

async function serverOf(target: RequestListener | FastifyLike | Server): Promise<Server> {
  if (isFastify(target)) {
    await target.ready();
    return checkServer(target.server);
  }
  if (typeof target !== "function") return checkServer(target);
  const server = SERVERS.get(target) ?? createServer(target);
  SERVERS.set(target, server);
  return server;
}

function checkServer(server: unknown): Server {
  if (server instanceof Server || server instanceof TlsServer) return server;
  if (typeof server !== "object" || server === null || !("listen" in server)) {
    throw invalidTarget(server);
  }
  throw new SseError(
    "ERR_SSE_INVALID_OPTION",
    "Expected a server of node:http or node:https: streams under test use HTTP/1.1",
  );
}

function invalidTarget(target: unknown): SseError {
  return new SseError(
    "ERR_SSE_INVALID_OPTION",
    `Expected an Express application, a Fastify instance, a server or an http: URL, got ${describeValue(target)}`,
  );
}

async function startListening(server: Server): Promise<void> {
  // A stream that a failed test has left open must not keep the process alive.
  server.on("connection", unref);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
}

function unref(socket: Socket): void {
  socket.unref();
}

/** Closes a server. The application may have closed it already. */
async function stopListening(server: Server): Promise<void> {
  server.off("connection", unref);
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

function hostOf(address: AddressInfo | string | null): string {
  if (typeof address !== "object" || address === null) {
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected a server that listens on a port, got ${describeValue(address)}`,
    );
  }
  const anywhere = address.address === "::" || address.address === "0.0.0.0";
  if (anywhere) return `127.0.0.1:${address.port}`;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `${host}:${address.port}`;
}
