/** A server whose answers a test writes by hand, and which records the requests. */

import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { onTestFinished } from "vitest";
import { listen } from "../contracts/raw-server.js";

/** A request that has arrived. */
export interface Asked {
  /** On the clock of `performance.now()`. */
  readonly at: number;
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Answers one request. */
export type Answer = (response: ServerResponse, request: IncomingMessage, asked: Asked) => void;

/** A listening server. */
export interface ScriptedServer {
  readonly url: string;
  readonly port: number;
  readonly asked: readonly Asked[];
  /** Breaks all connections. */
  cut(): void;
}

/**
 * Serves until the test has ended.
 *
 * @param answers - For the first request, the second and so on; the last one answers all that follow.
 */
export async function script(...answers: readonly Answer[]): Promise<ScriptedServer> {
  const asked: Asked[] = [];
  const server = http.createServer((request, response) => {
    const at = performance.now();
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const one: Asked = { at, method, url, headers, body };
      const answer = answers[Math.min(asked.push(one), answers.length) - 1];
      answer?.(response, request, one);
    });
  });
  const { port, close } = await listen(server);
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    asked,
    cut: () => server.closeAllConnections(),
  };
}

/** Answers with a status and no stream. */
export function status(code: number, headers: http.OutgoingHttpHeaders = {}): Answer {
  return (response) => void response.writeHead(code, headers).end("No stream here");
}

/** Opens an event stream and writes some of it. It stays open. */
export function stream(text = ": \n\n"): Answer {
  return (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" }).write(text);
  };
}

/** Writes a stream and ends it in order. */
export function ended(text = ""): Answer {
  return (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).end(text);
  };
}

/** Writes part of a stream, then breaks the connection with RST. */
export function broken(text: string): Answer {
  return (response, request) => {
    stream(text)(response, request, undefined as never);
    setTimeout(() => request.socket.resetAndDestroy(), 20);
  };
}
