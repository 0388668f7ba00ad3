import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { HubOptions } from "@tidewire/core";
import Koa from "koa";
import { afterEach, describe, expect, it } from "vitest";
import { request } from "../client.js";
import type { StreamClient } from "../client.js";
import { koaSse } from "./koa-adapter.js";
import type { WithSse } from "./koa-adapter.js";

type Handler = (context: Koa.ParameterizedContext<Koa.DefaultState, WithSse>) => unknown;

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function serve(
  options: HubOptions,
  handler: Handler,
): Promise<{ url: string; port: number }> {
  const app = new Koa<Koa.DefaultState, WithSse>();
  const sse = koaSse(options);
  app.silent = true;
  app.use(sse);
  app.use(async (context) => void (await handler(context)));
  const server = http.createServer((incoming, response) => void app.callback()(incoming, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    await sse.hub.close();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, port };
}

async function open(port: number): Promise<StreamClient> {
  const client = await request({ port, protocol: "http1" }, "/");
  closers.push(() => client.cut());
  return client;
}

const EVENT_STREAM = { Accept: "text/event-stream" };

describe("The example of an adapter", () => {
  it("sends the messages of a route", async () => {
    const { port } = await serve({}, ({ sse }) => void sse.send("hello"));
    const client = await open(port);
    await client.until("data: hello");
  });

  it("does not affect a route that does not open its stream", async () => {
    const { url } = await serve({}, (context) => {
      context.body = { state: context.sse.state };
    });
    expect(await (await fetch(url)).json()).toEqual({ state: "idle" });
  });

  it("passes refused requests to Koa's error handling", async () => {
    const { url } = await serve({}, ({ sse }) => void sse.send("hello"));
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    expect(answer.status).toBe(406);
    expect(await answer.text()).toContain("text/event-stream");
  });

  it.each([
    [true, 200],
    [false, 403],
  ])("waits for authorize after the route has returned: %s", async (verdict, status) => {
    const authorize = (): Promise<boolean> => delay(50, verdict);
    const { url } = await serve({ authorize }, ({ sse }) => void sse.subscribe("news"));
    const answer = await fetch(url, { headers: EVENT_STREAM });
    expect(answer.status).toBe(status);
    await answer.body?.cancel();
  });

  it("answers 404 if the stream for which the route has waited is cancelled", async () => {
    const authorize = (): Promise<boolean> => delay(1_000, true, { ref: false });
    const { url } = await serve({ authorize }, ({ sse }) => {
      void sse.subscribe("news");
      setTimeout(() => sse.unsubscribe("news"), 50);
    });
    expect((await fetch(url, { headers: EVENT_STREAM })).status).toBe(404);
  });

  it("ends a stream whose route throws", async () => {
    const { url } = await serve({}, async ({ sse }) => {
      await sse.send("hello");
      throw new Error("broken");
    });
    expect(await (await fetch(url, { headers: EVENT_STREAM })).text()).toContain("data: hello");
  });

  it("answers preflights that the option cors allows, and leaves the others to Koa", async () => {
    const { url } = await serve({ cors: { origin: "https://app.example" } }, (context) => {
      context.body = "mine";
    });
    const preflight = (origin: string): Promise<Response> =>
      fetch(url, {
        method: "OPTIONS",
        headers: { Origin: origin, "Access-Control-Request-Method": "GET" },
      });
    expect((await preflight("https://app.example")).status).toBe(204);
    expect(await (await preflight("https://other.example")).text()).toBe("mine");
  });
});
