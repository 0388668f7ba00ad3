import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createHub, isSseError } from "@tidewire/core";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { afterEach, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { EventClient } from "./event-client.js";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(
  handler: (session: Session) => unknown,
  options?: HubOptions,
): Promise<{ hub: Hub; port: number }> {
  const hub = createHub(options);
  const server = http.createServer((incoming, response) => {
    void handler(hub.createSession({ request: incoming, response }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(async () => {
    await hub.close();
    server.closeAllConnections();
  });
  return { hub, port: (server.address() as AddressInfo).port };
}

it("the first of two calls decides what is replayed, however long its channels are looked at", async () => {
  const { hub, port } = await serve(
    (session) => {
      void session.subscribe("slow");
      void session.subscribe("quick");
    },
    {
      authorize: async (channel) => {
        if (channel === "slow") await delay(30);
        return true;
      },
    },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the client to be live", () => hub.channel("quick").subscriptionCount === 1);
  await eventually("its position", () => client.lastEventId !== "");
  client.cut("fin");
  await hub.publish("slow", "missed");
  client.connect();
  await eventually("what it has missed", () => client.events.length === 1);
  expect(client.events[0]?.data).toBe("missed");
  expect(client.resets).toEqual([]);
});

it("a client that came back after complete() gets 204 without being asked who it is", async () => {
  let asked = 0;
  const { port } = await serve((session) => session.subscribe("news"), {
    authorize: () => {
      asked += 1;
      return false;
    },
  });
  const target = { port, protocol: "http1" } as const;
  const client = await request(target, "/", { headers: { "last-event-id": "~end" } });
  expect(client.status).toBe(204);
  expect(asked).toBe(0);
  expect((await request(target, "/")).status).toBe(403);
});

it.each([
  ["a string", () => "text"],
  ["an async generator", async function* () {}],
  ["a number", () => 5],
])("a snapshot that gives %s is an error that says so", async (_name, snapshot) => {
  const faults: unknown[] = [];
  const { port } = await serve(
    (session) => session.subscribe("news", { snapshot: snapshot as never }),
    { onError: (error) => faults.push(error) },
  );
  const client = await request({ port, protocol: "http1" }, "/");
  await client.rest();
  expect(faults).toHaveLength(1);
  expect(isSseError(faults[0]) && faults[0].code).toBe("ERR_SSE_INVALID_DATA");
});
