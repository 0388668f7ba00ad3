/** Fairness: clients that are behind, sources that never wait, writes that throw, large turns. */

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Session } from "@tidewire/core";
import { describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { repeatUntil, serve } from "./served.js";

/** Calls a function before each write to a socket. */
function beforeWrites(socket: Socket, fn: (bytes: Uint8Array) => void): void {
  const { write } = socket;
  socket.write = ((...args: Parameters<typeof write>) => {
    fn(args[0] as Uint8Array);
    return write.apply(socket, args);
  }) as typeof write;
}

it("every client that is behind gets a slice in each turn, even if live clients use up the turn", async () => {
  const order: string[] = [];
  const { hub, port } = await serve(
    ({ sse, request }) => {
      const name = request.url?.slice(1) ?? "";
      beforeWrites(request.socket as Socket, (bytes) => {
        if (name !== "live") return void (bytes.byteLength > 50_000 && order.push(name));
        // As much as a turn may take, as with thousands of live clients.
        const end = performance.now() + 4;
        while (performance.now() < end);
      });
      void sse.subscribe(name === "live" ? "live" : "old");
    },
    { heartbeatMs: false },
  );
  const { id } = await hub.publish("old", "first");
  for (let i = 0; i < 30; i++) await hub.publish("old", "x".repeat(60_000));
  const live = new EventClient(port, "/live");
  live.connect();
  await eventually("the live one", () => hub.stats().sessions.live === 1);
  let isOver = false;
  const publishing = repeatUntil(
    () => isOver,
    () => hub.publish("live", "tick"),
  );
  const behind = ["a", "b", "c"].map((name) => new EventClient(port, `/${name}`));
  for (const client of behind) {
    client.lastEventId = id;
    client.connect();
  }
  await eventually("all", () => behind.every(({ events }) => events.length === 30));
  isOver = true;
  await publishing;
  // From the start of the last of the three until the first has everything.
  const from = Math.max(...["a", "b", "c"].map((name) => order.indexOf(name)));
  const to = Math.min(...["a", "b", "c"].map((name) => order.lastIndexOf(name)));
  const runs =
    order
      .slice(from, to)
      .join("")
      .match(/a+|b+|c+/g) ?? [];
  expect(runs.length).toBeGreaterThan(20);
  expect(Math.max(...runs.map(({ length }) => length))).toBeLessThanOrEqual(2);
});

describe.each([
  [
    "a source that never waits",
    (session: Session, items: Iterable<number>) => session.stream(items, () => undefined),
  ],
  [
    "a loop that awaits each send",
    async (session: Session, items: Iterable<number>) => {
      for (const item of items) if (!(await session.send(item % 2 === 0 ? "" : "x"))) return;
    },
  ],
])("%s", (_name, feed) => {
  it("does not hold the event loop", async () => {
    let given = 0;
    let isExhausted = false;
    function* items(): Iterable<number> {
      // Yields until the timer has closed the session, which never happens if the loop is held.
      for (const end = performance.now() + 5_000; performance.now() < end;) yield given++;
      isExhausted = true;
    }
    let session: Session | undefined;
    const { port } = await serve(
      ({ sse }) => {
        session = sse;
        setTimeout(() => sse.close(), 5);
        void feed(sse, items());
      },
      { heartbeatMs: false },
    );
    const client = new EventClient(port, "/");
    client.connect();
    await eventually("the end", () => session?.state === "closed");
    expect(given).toBeGreaterThan(0);
    expect(isExhausted).toBe(false);
  });
});

it("a write that throws ends its own session and affects no other, live or catching up", async () => {
  const errors: unknown[] = [];
  const reasons: string[] = [];
  const fault = new Error("a wrapper's fault");
  const { hub, port } = await serve(
    ({ sse, request, response }) => {
      if (request.url === "/bad") {
        let writes = 0;
        const { write } = response as ServerResponse;
        (response as ServerResponse).write = ((...args: Parameters<typeof write>) => {
          if (++writes > 1) throw fault;
          return write.apply(response as ServerResponse, args);
        }) as typeof write;
        sse.onClose((reason) => void reasons.push(reason));
      }
      void sse.subscribe("t");
    },
    { heartbeatMs: false, onError: (error) => errors.push(error) },
  );
  const { id } = await hub.publish("t", "0");
  const clients: EventClient[] = [];
  const connect = async (path: string, lastEventId: string): Promise<void> => {
    const client = new EventClient(port, path);
    client.lastEventId = lastEventId;
    client.connect();
    if (path !== "/bad") clients.push(client);
    await eventually("the stream", () => client.isOpen);
  };
  for (let i = 0; i < 3; i++) await connect("/", "");
  await connect("/bad", "");
  for (let i = 0; i < 3; i++) await connect("/", "");
  expect(hub.sessionCount).toBe(7);
  await hub.publish("t", "1");
  await eventually("all but one", () => clients.every(({ events }) => events.length === 1));
  expect(reasons).toEqual(["error"]);
  for (const client of clients) client.cut("fin");
  for (let i = 0; i < 6; i++) {
    const path = i === 2 ? "/bad" : "/";
    const client = new EventClient(port, path);
    client.lastEventId = id;
    client.connect();
    if (path === "/") clients.push(client);
  }
  await hub.publish("t", "2");
  const back = clients.slice(6);
  await eventually("the others", () => back.every(({ events }) => events.length === 2));
  expect(reasons).toEqual(["error", "error"]);
  expect(errors).toEqual([fault, fault]);
});

it("a turn of more than 64 KiB is sent to live clients in as few writes as its size requires, and the bytes are shared", async () => {
  const COUNT = 100;
  const sizes: number[] = [];
  const buffers = new Set<ArrayBufferLike>();
  const { hub, port } = await serve(
    ({ sse, request }) => {
      beforeWrites(request.socket as Socket, (bytes) => {
        if (bytes.byteLength < 1_000) return;
        sizes.push(bytes.byteLength);
        buffers.add(bytes.buffer);
      });
      void sse.subscribe("t");
    },
    { heartbeatMs: false },
  );
  const clients = Array.from({ length: COUNT }, () => new EventClient(port, "/"));
  for (const client of clients) client.connect();
  await eventually("all to be live", () => hub.stats().sessions.live === COUNT);
  let expected = 0;
  for (const [events, writes] of [
    [60, 1],
    [70, 2],
    [130, 3],
  ] as const) {
    expected += events;
    sizes.length = 0;
    buffers.clear();
    for (let i = 0; i < events; i++) void hub.publish("t", "x".repeat(1_000));
    await eventually("all", () => clients.every(({ events: got }) => got.length === expected));
    expect(sizes).toHaveLength(writes * COUNT);
    expect(buffers.size).toBeLessThanOrEqual(writes);
  }
});

it("an event for all and one for each of many clients, published in one turn, are one write per client", async () => {
  const COUNT = 100;
  let writes = 0;
  const { hub, port } = await serve(
    ({ sse, request }) => {
      void sse.subscribe(["all", `user:${request.url}`]).then(() => {
        beforeWrites(request.socket as Socket, () => (writes += 1));
      });
    },
    { heartbeatMs: false },
  );
  const clients = Array.from({ length: COUNT }, (_, i) => new EventClient(port, `/${i}`));
  for (const client of clients) client.connect();
  await eventually("all to be live", () => hub.stats().sessions.live === COUNT);
  await eventually("their positions", () => clients.every(({ cursors }) => cursors === 1));
  writes = 0;
  void hub.publish("all", "all");
  for (let i = 0; i < COUNT; i++) void hub.publish(`user:/${i}`, `own ${i}`);
  await eventually("all", () => clients.every(({ events }) => events.length === 2));
  for (const [i, { events }] of clients.entries()) {
    expect(events.map(({ data }) => data)).toEqual(["all", `own ${i}`]);
  }
  expect(writes).toBe(COUNT);
});

it("a client that reads is not cut as slow because the server itself was paused", async () => {
  let session: Session | undefined;
  const { port } = await serve(
    ({ sse }) => {
      session = sse;
      void sse.send("x".repeat(900_000));
    },
    { heartbeatMs: false, stallTimeoutMs: 1_000 },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the head", () => client.isOpen);
  client.pause();
  await repeatUntil(
    () => session?.bufferedBytes !== 0,
    () => session?.send("y".repeat(900_000)),
  );
  // Long enough for the server to have noticed the full socket once.
  await delay(500);
  client.resume();
  const end = performance.now() + 3_000;
  while (performance.now() < end);
  await eventually("the rest", () => session?.bufferedBytes === 0);
  expect(session?.closeReason ?? session?.state).toBe("open");
});
