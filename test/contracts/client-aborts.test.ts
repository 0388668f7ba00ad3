/** Routes that pass on their session's `signal` and do not catch its abort, in Express, when the client leaves. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import express from "express";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import { eventually, knock } from "../client.js";

afterEach(() => {
  vi.restoreAllMocks();
});

/** An application that prints errors which no error handler has taken, and its `console.error`. */
async function serve(
  route: express.RequestHandler,
  onError?: (error: unknown) => void,
): Promise<{ port: number; printed: unknown[] }> {
  const printed: unknown[] = [];
  vi.spyOn(console, "error").mockImplementation((line: unknown) => void printed.push(line));
  const app = express();
  app.set("env", "development");
  const router = express.Router();
  router.use(sse());
  router.get("/", route);
  app.use(router);
  const handler: express.ErrorRequestHandler = (error, _request, _response, next) => {
    onError?.(error);
    next(error);
  };
  if (onError !== undefined) app.use(handler);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, printed };
}

it.each([
  ["the abort itself", async (signal: AbortSignal) => once(new EventTarget(), "x", { signal })],
  ["an error caused by it", async (signal: AbortSignal) => delay(60_000, undefined, { signal })],
])("prints nothing for %s, which error handlers receive as an Error", async (_name, wait) => {
  const errors: unknown[] = [];
  let isWaiting = false;
  const { port, printed } = await serve(
    async (_request, response) => {
      isWaiting = true;
      await wait(response.sse.signal);
    },
    (error) => errors.push(error),
  );
  const client = await knock({ port, protocol: "http1" }, "/");
  await eventually("the route to wait", () => isWaiting);
  client.cut();
  await eventually("the error handler to be called", () => errors.length === 1);
  await delay(20);
  expect(errors).toMatchObject([{ name: "AbortError" }]);
  expect(errors[0]).toBeInstanceOf(Error);
  expect(printed).toEqual([]);
});

it("prints every other error, and answers clients that are still waiting", async () => {
  let shared: Error | undefined;
  const { port, printed } = await serve(async (request, response) => {
    if (request.query["abort"] === undefined) throw shared ?? new Error("own");
    const { signal } = response.sse;
    response.sse.close();
    shared = signal.reason as Error;
    throw new Error("late");
  });
  const url = `http://127.0.0.1:${port}/`;
  expect((await fetch(url)).status).toBe(500);
  await (await fetch(`${url}?abort=1`)).text();
  expect((await fetch(url)).status).toBe(500);
  await eventually("all to be printed", () => printed.length === 3);
  expect(printed.map((line) => String(line).split("\n")[0])).toEqual([
    "Error: own",
    "Error: late",
    "AbortError: The event stream has closed: ended",
  ]);
});
