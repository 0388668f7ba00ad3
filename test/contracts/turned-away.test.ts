/** Clients that are turned away, and connections while a hub is closing. */

import { Agent, get as httpGet } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { HubOptions } from "@tidewire/core";
import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import { afterEach, describe, expect, it, vi } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Binding, Handler, Served } from "./bindings.js";
import { RawClient } from "./raw-capture.js";

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");
const EVENT_STREAM = { accept: "text/event-stream" };
/** The opening comment: everything that a held client gets. */
const OPENING = ":\n\n";

const running: Served[] = [];
const clients: StreamClient[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const client of clients.splice(0)) client.cut();
  for (const served of running.splice(0)) {
    await within("the server to close", served.close());
    expect(served.hub.stats()).toMatchObject({ held: 0, closing: true });
  }
});

async function serve(binding: Binding, handler: Handler, options?: HubOptions): Promise<Served> {
  const served = await binding.serve(handler, options);
  running.push(served);
  return served;
}

async function get(served: Served, headers: Record<string, string> = EVENT_STREAM) {
  const client = await request(served, "/", { headers });
  clients.push(client);
  return client;
}

describe("a client beyond maxSessions", () => {
  it("gets the opening comment, is held for the drawn time, and then cut", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const outcomes = BINDINGS.map(async (binding) => {
      const served = await serve(binding, ({ sse }) => void sse.open(), { maxSessions: 1 });
      const first = await get(served);
      await first.until("\n\n");
      const begin = performance.now();
      const second = await get(served);
      expect(second.status).toBe(200);
      expect(second.headers["content-type"]).toBe("text/event-stream");
      await second.until("\n\n");
      const [untilOpen, { sessions, held }] = [performance.now() - begin, served.hub.stats()];
      await second.rest();
      const heldMs = performance.now() - begin;
      return {
        binding: binding.name,
        openedSoon: untilOpen < 1_000,
        stats: [sessions.open, sessions.connecting, held],
        text: second.text,
        isBroken: second.isBroken,
        // The shared timer fires about twice a second.
        isHeldFor5s: heldMs >= 4_990 && heldMs < 7_000,
        heldAfter: served.hub.stats().held,
      };
    });
    expect(await Promise.all(outcomes)).toEqual(
      BINDINGS.map(({ name: binding }) => ({
        binding,
        openedSoon: true,
        stats: [1, 0, 1],
        text: OPENING,
        isBroken: true,
        isHeldFor5s: true,
        heldAfter: 0,
      })),
    );
  });

  it.each(BINDINGS)(
    "$name: gets an sse-retry event and an orderly end beyond maxHeld",
    async (binding) => {
      const served = await serve(binding, ({ sse }) => void sse.open(), {
        maxSessions: 1,
        maxHeld: 1,
      });
      for (let i = 0; i < 2; i++) await (await get(served)).until("\n\n");
      const third = await get(served);
      const text = await third.rest();
      const [, retry] =
        /^(?::\n\n)?event: sse-retry\nretry: (\d+)\ndata: \{\}\n\n$/.exec(text) ?? [];
      expect(Number(retry)).toBeGreaterThanOrEqual(5_000);
      expect(Number(retry)).toBeLessThanOrEqual(30_000);
      expect(third.isBroken).toBe(false);
      expect(served.hub.stats()).toMatchObject({ held: 1, turnedAway: 2, sessions: { open: 1 } });
      // It was never a stream that could close.
      expect(served.hub.stats().closes.refused).toBe(0);
    },
  );

  it.each(BINDINGS)("$name: gets its CORS headers, but no headers of open()", async (binding) => {
    const served = await serve(
      binding,
      ({ sse }) => void sse.open({ status: 201, headers: { "X-Stream": "yes" } }),
      { maxSessions: 1, cors: { origin: "https://app.example" } },
    );
    await (await get(served)).until("\n\n");
    const second = await get(served, { ...EVENT_STREAM, origin: "https://app.example" });
    expect(second.status).toBe(200);
    expect(second.headers["access-control-allow-origin"]).toBe("https://app.example");
    expect(second.headers).not.toHaveProperty("x-stream");
  });

  it("is held without a session, which is garbage collected", async () => {
    const sessions: WeakRef<object>[] = [];
    const served = await serve(
      BINDINGS[0]!,
      ({ sse }) => {
        sse.onClose(() => {});
        void sse.signal;
        sse.open();
        sessions.push(new WeakRef(sse));
      },
      { maxSessions: 1 },
    );
    for (let i = 0; i < 20; i++) await (await get(served)).until("\n\n");
    expect(served.hub.stats().held).toBe(19);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    await eventually("the sessions to be collected", () => {
      collect();
      return sessions.filter((session) => session.deref() !== undefined).length === 1;
    });
    expect(served.hub.stats().held).toBe(19);
  });

  it.each(HTTP1)("$name: takes one place, however many requests it pipelines", async (binding) => {
    const served = await serve(binding, ({ sse }) => void sse.open(), { maxSessions: 1 });
    await (await get(served)).until("\n\n");
    const client = await RawClient.open(served.port);
    client.get(
      Array.from({ length: 50 }, () => "/"),
      "1.1",
      "Accept: text/event-stream\r\n",
    );
    await client.untilBody(OPENING);
    expect(served.hub.stats().held).toBe(1);
    client.socket.destroy();
    await eventually("all to be forgotten", () => served.hub.stats().held === 0);
  });
});

describe("while the hub is closing", () => {
  it.each(BINDINGS)(
    "$name: clients are held until the drain ends, and no longer",
    async (binding) => {
      const served = await serve(binding, ({ sse }) => void sse.open());
      const streams = await Promise.all(Array.from({ length: 4 }, () => get(served)));
      for (const stream of streams) await stream.until("\n\n");
      expect(served.hub.stats().closing).toBe(false);
      let isClosed = false;
      // The last of four streams ends after three quarters of the time.
      const closing = served.hub.close({ drainMs: 1_250 }).then(() => (isClosed = true));
      let isHeld = false;
      let ends = 0;
      for (const { ended } of streams) {
        void ended.then(() => {
          ends += 1;
          if (ends === 3) isHeld = !late.isEnded && !isClosed;
        });
      }
      expect(served.hub.stats().closing).toBe(true);
      await eventually("the first end", () => streams.some(({ isEnded }) => isEnded));
      const late = await get(served);
      await late.until("\n\n");
      expect(served.hub.stats()).toMatchObject({ held: 1, turnedAway: 1 });
      await closing;
      expect(isHeld).toBe(true);
      await late.rest();
      expect([late.text, late.isBroken]).toEqual([OPENING, true]);
      expect(streams.map(({ isBroken }) => isBroken)).toEqual([false, false, false, false]);
      // The same until the server is closed.
      const after = await get(served);
      await within("the cut", after.ended, 1_000);
      expect([after.status, after.text, after.isBroken]).toEqual([200, OPENING, true]);
    },
  );

  it.each(BINDINGS)("$name: close() cuts clients that were held before", async (binding) => {
    const served = await serve(binding, ({ sse }) => void sse.open(), { maxSessions: 1 });
    const first = await get(served);
    const second = await get(served);
    await second.until("\n\n");
    await within("close()", served.hub.close(), 2_000);
    await within("the end of both", Promise.all([first.ended, second.ended]), 1_000);
    expect([first.isBroken, second.isBroken]).toEqual([false, true]);
    expect(served.hub.stats().held).toBe(0);
  });

  it.each(HTTP1)("$name: connections are closed with their stream", async (binding) => {
    const served = await serve(binding, ({ sse }) => void sse.open());
    const stream = (await RawClient.open(served.port)).get(["/"]);
    await stream.untilBody("\n\n");
    expect(stream.response().head).toMatch(/\r\nConnection: keep-alive\r\n/i);
    await served.hub.close();
    await within("the end of the connection", stream.untilClosed(), 1_000);
    expect(stream.response().isEnded).toBe(true);
    for (const headers of ["Accept: text/event-stream\r\n", ""]) {
      const late = (await RawClient.open(served.port)).get(["/"], "1.1", headers);
      await within("the end of the connection", late.untilClosed(), 1_000);
      // A connection that is cut does not announce it: see the next test.
      const isCut = headers !== "";
      expect(isCut && late.response().isEnded).toBe(false);
      expect(/\r\nConnection: close\r\n/i.test(late.response().head)).toBe(!isCut);
    }
  });

  it.each(HTTP1)("$name: Node's `fetch` notices when a held client is cut", async (binding) => {
    const served = await serve(binding, ({ sse }) => void sse.open());
    for (const stream of [await get(served), await get(served)]) await stream.until("\n\n");
    // The second stream ends after half the time: on a busy machine a request may take a second to arrive.
    const closing = served.hub.close({ drainMs: 4_000 });
    /**
     * How a client perceives the end of its response: undici treats a cut as an orderly end if the head says `close`.
     */
    const fetchAll = async (): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${served.port}/`, { headers: EVENT_STREAM });
      expect(response.status).toBe(200);
      return response.text().then(
        (text) => `end after ${JSON.stringify(text)}`,
        (error: unknown) => String(error),
      );
    };
    const held = fetchAll();
    await eventually("the client to be held", () => served.hub.stats().held === 1);
    await closing;
    expect(await held).toBe("TypeError: terminated");
    expect(await fetchAll()).toBe("TypeError: terminated");
  });

  it("Fastify, which announces the close on each answer while it closes, does not announce it on one that is cut", async () => {
    const app = Fastify({ return503OnClosing: false });
    await app.register(ssePlugin);
    app.get("/", (_request, reply) => {
      reply.sse.open();
      return reply;
    });
    let held = "";
    app.addHook("preClose", async () => {
      const { port } = app.server.address() as AddressInfo;
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: EVENT_STREAM });
      held = await response.text().catch(String);
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    await app.close();
    expect(held).toBe("TypeError: terminated");
  });

  it.each(HTTP1)("$name: an agent finds no connection to reuse", async (binding) => {
    const served = await serve(binding, ({ sse }) => void sse.open());
    const agent = new Agent({ keepAlive: true });
    const ended = new Promise<void>((resolve, reject) => {
      httpGet(
        { port: served.port, host: "127.0.0.1", agent, headers: EVENT_STREAM },
        (response) => {
          response.resume();
          response.once("error", reject);
          response.once("end", resolve);
        },
      );
    });
    await eventually("the stream", () => served.hub.sessionCount === 1);
    await served.hub.close();
    await within("the end in order", ended);
    await eventually("no connection", () => Object.keys(agent.freeSockets).length === 0);
    agent.destroy();
  });
});
