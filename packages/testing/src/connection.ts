/** One request and the body of its answer: over a socket, or through Fastify's `inject`. */

import http from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { decodeBody } from "./decode-body.js";
import type { StreamRequest } from "./options.js";

/** How a connection is cut: like a closed tab (`fin`), or like a broken network (`rst`). */
export type Cut = "fin" | "rst";

/** A head that has arrived, and the body behind it. */
export interface Connection {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Decoded, if it was compressed. */
  readonly body: Readable;
  cut(how: Cut): void;
}

/** Sends a request. `signal` gives it up. */
export type Connect = (request: StreamRequest, signal: AbortSignal) => Promise<Connection>;

/** Connects to a server. */
export function connectTo(origin: string, isOwn: boolean): Connect {
  return ({ path, method, headers, body }, signal) =>
    new Promise((resolve, reject) => {
      const url = new URL(`${origin}${path}`);
      const options = { method, headers, agent: false, signal } as const;
      const outgoing =
        url.protocol === "https:"
          ? https.request(url, { ...options, rejectUnauthorized: !isOwn })
          : http.request(url, options);
      outgoing.on("error", reject);
      outgoing.on("response", (response) => {
        const { socket } = response;
        // A stream that a failed test has left open must not keep the process alive. Waits do, by their timers.
        socket.unref();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: decodeBody(response, response.headers["content-encoding"]),
          cut: (how) => void (how === "rst" ? socket.resetAndDestroy() : socket.destroy()),
        });
      });
      outgoing.end(body);
    });
}

/** The answer of `fastify.inject`, as far as it is used here. */
interface Injected {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly raw: { readonly res: { destroy(): void } };
  stream(): Readable;
}

/** A Fastify instance, as far as it is used here. */
interface Injecting {
  inject(options: object): Promise<Injected>;
}

/** Connects without a socket. */
export function injectInto(fastify: Injecting): Connect {
  return async ({ path, method, headers, body }) => {
    const response = await fastify.inject({
      url: path,
      method,
      headers,
      payload: body instanceof Uint8Array ? Buffer.from(body) : body,
      payloadAsStream: true,
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: decodeBody(response.stream(), response.headers["content-encoding"]),
      // The client has left: the response closes, as it does with a socket.
      cut: () => response.raw.res.destroy(),
    };
  };
}
