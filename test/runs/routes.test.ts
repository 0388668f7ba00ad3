// The routes of docs/guide/runs.md as applications write them, in Express and in Fastify.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { createRuns } from "@tidewire/runs";
import express from "express";
import Fastify from "fastify";
import { expect, it } from "vitest";
import { request } from "../client.js";
import type { Target } from "../client.js";
import { Faucet } from "./faucet.js";
import { eventsOf } from "./served-runs.js";

/** Asks, leaves in the middle, follows again, is refused meanwhile, and stops. */
async function expectChat(target: Target, faucet: Faucet): Promise<void> {
  const asked = await request(target, "/chat/1", { method: "POST" });
  faucet.give("a", "b");
  await asked.until("data: b\n\n");
  asked.cut();
  const again = await request(target, "/chat/1");
  faucet.give("c");
  await again.until("data: c\n\n");
  const asksToo = await request(target, "/chat/1", { method: "POST" });
  expect(asksToo.status).toBe(409);
  await asksToo.rest();
  const other = await request(target, "/chat/1");
  await other.until("data: c\n\n");
  const stopped = await request(target, "/chat/1", { method: "DELETE" });
  expect(await stopped.rest()).toBe('{"stopped":true}');
  for (const client of [again, other]) {
    const data = eventsOf({ text: await client.rest() }).map((event) => event.data);
    expect(data).toEqual(["a", "b", "c", "[DONE]"]);
  }
  expect((await request(target, "/chat/2")).status).toBe(204);
  const tooLong = await request(target, `/chat/${"x".repeat(97)}`);
  expect(tooLong.status).toBe(400);
  await tooLong.rest();
}

it("Three routes in Express are a chat whose answers survive a reload", async () => {
  const app = express();
  app.set("env", "test");
  const events = sse();
  app.use(events);
  const runs = createRuns();
  const faucet = new Faucet();
  const end = (): string => "[DONE]";
  app.post("/chat/:id", async (req, res) => {
    const { started } = await runs.start(req.params.id, () => faucet);
    if (!started) return void res.status(409).json({ error: "An answer is being written" });
    await runs.follow(req.params.id, res.sse, { end });
  });
  app.get("/chat/:id", (req, res) => runs.follow(req.params.id, res.sse, { end }));
  app.delete("/chat/:id", async (req, res) => {
    res.json({ stopped: await runs.stop(req.params.id) });
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await expectChat({ port, protocol: "http1" }, faucet);
  await runs.close();
  await events.hub.close();
  server.close().closeAllConnections();
});

it("Three routes in Fastify are a chat whose answers survive a reload, without a warning", async () => {
  let logged = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged += String(chunk);
      done();
    },
  });
  const app = Fastify({ logger: { level: "warn", stream }, return503OnClosing: false });
  await app.register(ssePlugin);
  const runs = createRuns();
  const faucet = new Faucet();
  const end = (): string => "[DONE]";
  interface Route {
    Params: { id: string };
  }
  app.post<Route>("/chat/:id", async ({ params }, reply) => {
    const { started } = await runs.start(params.id, () => faucet);
    if (!started) return reply.code(409).send({ error: "An answer is being written" });
    await runs.follow(params.id, reply.sse, { end });
    return reply;
  });
  app.get<Route>("/chat/:id", ({ params }, reply) => runs.follow(params.id, reply.sse, { end }));
  app.delete<Route>("/chat/:id", async ({ params }) => ({ stopped: await runs.stop(params.id) }));
  await app.listen({ port: 0, host: "127.0.0.1" });
  const { port } = app.server.address() as AddressInfo;
  await expectChat({ port, protocol: "http1" }, faucet);
  await runs.close();
  await app.close();
  expect(logged).toBe("");
});
