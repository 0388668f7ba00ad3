import { request as sendRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";

/** Number of nodes tried for a request before its connection is cut. */
const ATTEMPTS = 3;

/** Headers that concern one connection, not the request or response it carries. */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

/** Targets that a request can be passed on to. */
export interface Upstreams {
  /** Returns the port of the next target in turn, and waits for one if there is none. */
  next(): Promise<number>;
}

/**
 * Passes a request on to the next node in turn, and its answer back to the client, byte by byte as it arrives.
 *
 * When either side leaves, so does the other: a client that disconnects ends the request to the node, and a node that
 * dies ends the client's connection, so that an `EventSource` reconnects. Never answers 502, which would make it give
 * up for good.
 */
export async function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  upstreams: Upstreams,
  attempt = 1,
): Promise<void> {
  const port = await upstreams.next();
  // The client left while no node was up.
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
    // If the node does not end the response properly, this destroys it together with the connection.
    pipeline(incoming, response, () => {});
  });
  outgoing.on("error", () => {
    if (response.destroyed) return;
    if (response.headersSent || !isRepeatable || attempt === ATTEMPTS) {
      response.destroy();
      return;
    }
    // The node died a moment ago.
    response.off("close", leave);
    passOn(request, response, upstreams, attempt + 1).catch(() => response.destroy());
  });
  if (isRepeatable) outgoing.end();
  else pipeline(request, outgoing, () => {});
}

function headersOf(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}
