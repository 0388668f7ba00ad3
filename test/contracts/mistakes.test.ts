/** Calls in the style of other libraries, or with common slips: each error says what to write instead. */

import type { AddressInfo } from "node:net";
import { createHub, isSseError } from "@tidewire/core";
import { sse, sseHandler as expressHandler } from "@tidewire/express";
import { ssePlugin, sseHandler as fastifyHandler } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";
import { expect, it, onTestFinished } from "vitest";
import { request } from "../client.js";
import { serve } from "../delivery/served.js";

/** The error that a call throws or rejects with, as code and message. */
async function faultOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    return isSseError(error) ? `${error.code}: ${error.message}` : String(error);
  }
  return "nothing";
}

/** For calls that do not compile. */
function untyped(value: unknown): never {
  return value as never;
}

it("a hub in place of options gets an error that says where it belongs", async () => {
  const hub = createHub();
  expect(await faultOf(() => createHub(untyped(hub)))).toBe(
    "ERR_SSE_INVALID_OPTION: Expected options, got a hub, which already has its options",
  );
  const asOption = "ERR_SSE_INVALID_OPTION: Expected options, got a hub: pass it as { hub }";
  expect(await faultOf(() => sse(untyped(hub)))).toBe(asOption);
  const fastify = Fastify();
  onTestFinished(() => fastify.close());
  expect(await faultOf(() => fastify.register(ssePlugin, untyped(hub)))).toBe(asOption);
});

it("a misspelt option gets a suggestion, including the adapter's own options", async () => {
  const register = async (options: object): Promise<void> => {
    const fastify = Fastify();
    onTestFinished(() => fastify.close());
    await fastify.register(ssePlugin, untyped(options));
  };
  const faults = [
    await faultOf(() => sse(untyped({ propertys: "events" }))),
    await faultOf(() => sse(untyped({ hub: createHub(), propertys: "events" }))),
    await faultOf(() => sse(untyped({ hubs: createHub() }))),
    await faultOf(() => sse(untyped({ heartbeat: 1_000 }))),
    await faultOf(() => expressHandler("news", {}, untyped({ prop: "events" }))),
    await faultOf(() => register({ decorato: "events" })),
    await faultOf(() => register({ hub: createHub(), decorater: "events" })),
    await faultOf(() => fastifyHandler("news", {}, untyped({ decorate: "events" }))),
  ];
  expect(faults).toEqual(
    [
      "`propertys`. Did you mean `property`?",
      "`propertys`. Did you mean `property`?",
      "`hubs`. Did you mean `hub`?",
      "`heartbeat`. Did you mean `heartbeatMs`?",
      "`prop`. Did you mean `property`?",
      "`decorato`. Did you mean `decorator`?",
      "`decorater`. Did you mean `decorator`?",
      "`decorate`. Did you mean `decorator`?",
    ].map((rest) => `ERR_SSE_INVALID_OPTION: Unknown option ${rest}`),
  );
  expect(await faultOf(() => sse(untyped({ hub: createHub(), heartbeatMs: 1_000 })))).toBe(
    "ERR_SSE_INVALID_OPTION: Expected no option beside `hub`: pass the options to createHub()",
  );
});

it("app.use(sse) without a call gets an error with the first request", async () => {
  const app = express();
  app.use(untyped(sse));
  let fault: unknown;
  app.use(
    untyped((error: unknown, _request: unknown, response: express.Response, _next: unknown) => {
      fault = error;
      response.status(500).end();
    }),
  );
  const server = app.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => {
    server.once("listening", resolve);
  });
  const { port } = server.address() as AddressInfo;
  expect((await request({ port, protocol: "http1" }, "/")).status).toBe(500);
  expect(fault).toMatchObject({
    code: "ERR_SSE_INVALID_OPTION",
    message: "Expected options, got a request: call `sse()` and pass what it returns",
  });
});

it("messages in the style of other libraries get an error that names the right field", async () => {
  const faults: unknown[] = [];
  const served = await serve(async ({ sse: session }) => {
    session.open();
    for (const message of [{ dat: 1 }, { type: "tick" }, { event: "tick" }, { foo: 1 }]) {
      faults.push(await faultOf(() => session.send(untyped(message))));
    }
    const send = session.send.bind(session) as (...args: unknown[]) => unknown;
    faults.push(await faultOf(() => send("tick", { n: 1 })));
    session.close();
  });
  expect(await (await request(served, "/")).rest()).not.toContain("data");
  expect(faults).toEqual([
    "ERR_SSE_INVALID_DATA: Expected `data`, got the unknown field `dat`. Did you mean `data`?",
    "ERR_SSE_INVALID_DATA: Expected `data`, got the unknown field `type`. Did you mean `event`?",
    'ERR_SSE_INVALID_DATA: Expected `data`: a client dispatches no event for a block without it. Use `data: ""` for an event without content',
    "ERR_SSE_INVALID_DATA: Expected `data`, got the unknown field `foo`. Expected one of `data`, `event`, `id`, `retry`",
    'ERR_SSE_INVALID_DATA: Expected one message for send(), got two arguments: use send({ event: "tick", data })',
  ]);
});

it("publish() with an event type in place of the message says how to set the type", async () => {
  const { publish } = createHub();
  const hub = createHub();
  const call = publish.bind(hub) as (...args: unknown[]) => unknown;
  expect(await faultOf(() => call("news", "headline", { title: "a" }))).toBe(
    "ERR_SSE_INVALID_OPTION: Unknown option `title`. An event with a type is one message: { event, data }",
  );
  expect(await faultOf(() => call("news", "text", { dedupekey: "a" }))).toBe(
    "ERR_SSE_INVALID_OPTION: Unknown option `dedupekey`. Did you mean `dedupeKey`?",
  );
});

it("the error of a snapshot message with an id names the id, the channel and the reason", async () => {
  const faults: unknown[] = [];
  const served = await serve(
    ({ sse: session }) =>
      void session.subscribe("news", { snapshot: () => [{ id: "7", data: "state" }] }),
    { onError: (error) => faults.push(error) },
  );
  await (await request(served, "/")).rest();
  expect(faults).toMatchObject([
    {
      code: "ERR_SSE_ID_RESERVED",
      message:
        'The snapshot of ["news"] cannot be sent: Expected a snapshot message to have no `id`, got "7" (string): a stream that has subscribed gets its ids from the log',
    },
  ]);
});
