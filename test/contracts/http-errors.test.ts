/** How error handlers of other libraries treat an error with a status, and how they answer. */

import { once } from "node:events";
import http from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { SseError, createHub } from "@tidewire/core";
import { sse, sseHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler, ssePlugin } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";
import Koa from "koa";
import { describe, expect, it, onTestFinished } from "vitest";

// That of Koa, which Express and Nest have as well.
const require = createRequire(import.meta.url);
const { isHttpError } = createRequire(require.resolve("koa"))("http-errors") as {
  isHttpError(value: unknown): boolean;
};

async function listen(server: http.Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** @returns Status and text of the answers to a client without access, and to one that takes no event stream. */
async function ask(origin: string): Promise<unknown[]> {
  const answers = [];
  for (const [path, accept] of [
    ["/secret", "text/event-stream"],
    ["/news", "text/html"],
  ] as const) {
    const response = await fetch(`${origin}${path}`, { headers: { accept } });
    answers.push([response.status, await response.text()]);
  }
  return answers;
}

const authorize = (channel: string): boolean => channel !== "secret";
const MESSAGES = {
  forbidden: "The client may not subscribe to this channel",
  notAcceptable: "The client does not accept text/event-stream",
};

describe("An error with a status", () => {
  it.each([
    [403, true],
    [406, true],
    [503, false],
  ])("is an HTTP error to http-errors: %i, exposed: %s", (statusCode, expose) => {
    const error = new SseError("ERR_SSE_FORBIDDEN", "no", { statusCode });
    expect(isHttpError(error)).toBe(true);
    expect(error).toMatchObject({ statusCode, status: statusCode, expose });
  });

  it("is not an HTTP error without one, and has no such property", () => {
    const error = new SseError("ERR_SSE_INVALID_OPTION", "no");
    expect(isHttpError(error)).toBe(false);
    expect(["statusCode", "status", "expose"].filter((name) => name in error)).toEqual([]);
  });

  it("is answered by Koa with its status and message, and not logged", async () => {
    const hub = createHub({ authorize });
    const app = new Koa();
    const logged: unknown[] = [];
    app.on("error", (error: Error & { expose?: boolean }) => {
      // As Koa's own listener does.
      if (error.expose !== true) logged.push(error);
    });
    app.use((context) => {
      context.respond = false;
      const { req: incoming, res: response } = context;
      const refuse = (error: unknown): void => context.onerror(error as Error);
      void hub
        .createSession({ request: incoming, response, refuse })
        .subscribe(context.path.slice(1));
    });
    const callback = app.callback();
    const origin = await listen(
      http.createServer((incoming, response) => void callback(incoming, response)),
    );
    expect(await ask(origin)).toEqual([
      [403, MESSAGES.forbidden],
      [406, MESSAGES.notAcceptable],
    ]);
    expect(logged).toEqual([]);
  });

  it("is answered by Express with its status, and the message outside of production", async () => {
    const app = express();
    app.use(sse({ authorize }));
    app.get("/news", sseHandler("news"));
    app.get("/secret", sseHandler("secret"));
    const answers = await ask(await listen(http.createServer(app)));
    expect(answers).toEqual([
      [403, expect.stringContaining(MESSAGES.forbidden)],
      [406, expect.stringContaining(MESSAGES.notAcceptable)],
    ]);
  });

  it("is answered by Fastify with its status, code and message", async () => {
    const app = Fastify({ return503OnClosing: false });
    onTestFinished(() => app.close());
    await app.register(ssePlugin, { authorize });
    app.get("/news", fastifyHandler("news"));
    app.get("/secret", fastifyHandler("secret"));
    await app.listen({ port: 0, host: "127.0.0.1" });
    const answers = await ask(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
    const body = (statusCode: number, code: string, error: string, message: string): unknown => [
      statusCode,
      JSON.stringify({ statusCode, code, error, message }),
    ];
    expect(answers).toEqual([
      body(403, "ERR_SSE_FORBIDDEN", "Forbidden", MESSAGES.forbidden),
      body(406, "ERR_SSE_NOT_ACCEPTABLE", "Not Acceptable", MESSAGES.notAcceptable),
    ]);
  });
});
