import { request as sendRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";

/** How many nodes are tried for a request before its connection is cut. */
const ATTEMPTS = 3;

/** Headers that are about one connection, not about the request or response that it carries. */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

/** What a request may be passed on to. */
export interface Upstreams {
  /** Gives the port of the one whose turn it is, and waits for one if there is none. */
  next(): Promise<number>;
}

/**
 * Passes a request on to the node whose turn it is, and what that answers back to the client, byte by byte as
 * it comes.
 *
 * Whoever leaves, the other side hears of it: a client that goes ends the request to the node, and a node that
 * dies ends the client's connection, so that an `EventSource` comes back. No answer with 502: that would make it
 * give up for ever.
 */
export async function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  upstreams: Upstreams,
  attempt = 1,
): Promise<void> {
  const port = await upstreams.next();
  // The client has left while there was no node.
  if (response.destroyed) return;
  const { method, url } = request;
  const isRepeatable = method === "GET" || method === "HEAD";
  const outgoing = sendRequest({
    host: "127.0.0.1",
    port,
    method,
    path: url,
    headers: headersOf(request.headers),
    agent: false,
  });
  const leave = (): void => void outgoing.destroy();
  response.once("close", leave);

  outgoing.on("response", (incoming) => {
    response.writeHead(incoming.statusCode ?? 502, headersOf(incoming.headers));
    response.flushHeaders();
    // Destroys the response, and with it the connection, if the node does not end it properly.
    pipeline(incoming, response, () => {});
  });
  outgoing.on("error", () => {
    if (response.destroyed) return;
    if (response.headersSent || !isRepeatable || attempt === ATTEMPTS) {
      response.destroy();
      return;
    }
    // A node that died a moment ago.
    response.off("close", leave);
    passOn(request, response, upstreams, attempt + 1).catch(() => response.destroy());
  });
  if (isRepeatable) outgoing.end();
  else pipeline(request, outgoing, () => {});
}

function headersOf(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}
