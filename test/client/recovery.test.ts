/** Everything that a server and a link can do to a stream, and how the client comes back. */

import net from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { startLinkProxy } from "./link-proxy.js";
import { broken, ended, script, status, stream } from "./scripted-server.js";
import { serve } from "./served.js";

const EVENT = "id: 1\ndata: back\n\n";

describe("A stream comes back after", () => {
  it.each([
    ["a 502", status(502), { reason: "status", httpStatus: 502 }],
    ["a 404", status(404), { reason: "status", httpStatus: 404 }],
    ["a 500 with the type of a stream", ended(), { reason: "ended" }],
    ["another 2xx", status(206), { reason: "status", httpStatus: 206 }],
    [
      "a page instead of a stream",
      status(200, { "Content-Type": "text/html" }),
      { reason: "content-type", httpStatus: 200 },
    ],
    [
      "a type that only begins like that of a stream",
      status(200, { "Content-Type": "text/event-streams" }),
      { reason: "content-type", httpStatus: 200 },
    ],
    ["a redirect that leads nowhere", status(302, { Location: "/" }), { reason: "unreachable" }],
    ["an orderly end", ended("data: 0\n\n"), { reason: "ended" }],
    ["RST in the middle of a frame", broken("data: 0\n\nid: 5\ndata: ha"), { reason: "broken" }],
  ])("%s", async (_, answer, waiting) => {
    const isLoop = waiting.reason === "unreachable";
    const server = await script(
      ...Array.from({ length: isLoop ? 21 : 1 }, () => answer),
      stream(EVENT),
    );
    const followed = follow(server.url);
    const { retryAt, ...rest } = await followed.until("waiting");
    expect(rest).toMatchObject({ state: "waiting", failures: 1, ...waiting });
    expect(retryAt - Date.now()).toBeLessThanOrEqual(200);
    await eventually("the event", () => followed.data.at(-1) === "back");
    // Nothing of a frame that was cut off counts.
    expect(server.asked.at(-1)?.headers["last-event-id"]).toBeUndefined();
  });

  it("a refused connection", async () => {
    const holder = net.createServer().listen(0, "127.0.0.1");
    await eventually("a port", () => holder.listening);
    const { port } = holder.address() as AddressInfo;
    await new Promise((resolve) => holder.close(resolve));
    const followed = follow(`http://127.0.0.1:${port}/`);
    const waiting = await followed.until("waiting", 2);
    expect(waiting).toMatchObject({ reason: "unreachable", failures: 2 });
    expect(waiting.error).toBeInstanceOf(TypeError);
  });

  it("an answer that does not begin in time", async () => {
    const server = await script(() => {}, stream(EVENT));
    const followed = follow(server.url, { connectTimeoutMs: 300 });
    expect(await followed.until("waiting")).toMatchObject({ reason: "timeout", failures: 1 });
    await followed.untilEvents(1);
  });

  it("headers that fail, hang or make no sense", async () => {
    const server = await script(stream(EVENT));
    const headers = [
      () => Promise.reject(new Error("no token")),
      () => new Promise<never>(() => {}),
      () => ({ "not a name": "x" }),
      async () => ({ authorization: "Bearer 4" }),
    ];
    const followed = follow(server.url, {
      connectTimeoutMs: 300,
      headers: () => headers.shift()?.() ?? {},
    });
    await followed.untilEvents(1);
    const waits = followed.statuses.filter(({ state }) => state === "waiting");
    expect(waits).toMatchObject([
      { reason: "headers", error: new Error("no token") },
      { reason: "timeout" },
      { reason: "headers", error: expect.any(TypeError) },
    ]);
    expect(server.asked.map((asked) => asked.headers.authorization)).toEqual(["Bearer 4"]);
  });

  it("a link that swallows everything, in one and a half heartbeats", async () => {
    const { hub, port } = await serve(({ sse }) => void sse.subscribe("news"), {
      heartbeatMs: 1_000,
      reconnectionTimeMs: 100,
    });
    const proxy = await startLinkProxy(port);
    const followed = follow(proxy.url);
    await eventually("a position", () => followed.stream.lastEventId !== "");
    await hub.publish("news", { event: "n", data: 1 });
    await followed.untilEvents(1);
    // Three heartbeats: a quiet stream is no dead link.
    await delay(3_000);
    expect(followed.statuses.map(({ state }) => state)).toEqual(["connecting", "open"]);
    const start = performance.now();
    proxy.swallow();
    await hub.publish("news", { event: "n", data: 2 });
    expect(await followed.until("waiting")).toMatchObject({ reason: "stalled" });
    expect(performance.now() - start).toBeLessThan(1_700);
    await followed.untilEvents(2);
    expect(followed.data).toEqual([1, 2]);
  });
});

describe("A server that has trouble", () => {
  it("is not hammered if it accepts every stream and drops it", async () => {
    const server = await script(ended("data: x\n\n"));
    const followed = follow(server.url, { reconnectionTimeMs: 100 });
    await followed.until("waiting", 6);
    const waits = followed.statuses.filter((each) => each.state === "waiting");
    expect(waits.map(({ failures }) => failures).slice(0, 6)).toEqual([1, 2, 3, 4, 5, 6]);
    const gaps = server.asked.slice(1).map(({ at }, index) => at - (server.asked[index]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(95);
  });

  it("sets the reconnection time with `retry`, of which the first delay is one to two times", async () => {
    const server = await script(ended("retry: 700\n\n"));
    const followed = follow(server.url, { reconnectionTimeMs: 100 });
    const before = Date.now();
    const { retryAt } = await followed.until("waiting");
    expect(retryAt - before).toBeGreaterThanOrEqual(700);
    expect(retryAt - before).toBeLessThan(1_450);
  });

  it.each([
    ["Retry-After of a 503", status(503, { "Retry-After": "1" })],
    ["Retry-After of a 429", status(429, { "Retry-After": "1" })],
    ["sse-retry", ended("event: sse-retry\nretry: 1000\ndata: {}\n\n")],
  ])("is left alone for the time that it asks for: %s", async (_, answer) => {
    const server = await script(answer, stream(EVENT));
    const followed = follow(server.url, { reconnectionTimeMs: 100 });
    await followed.until("waiting");
    // As if the page had come back to the network: ends a wait, but not before the time that the server asks for.
    followed.stream.reopen();
    await followed.untilEvents(1);
    const [first, second] = server.asked;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(980);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(1_500);
  });

  it("is asked again at once by reopen() if it has not asked for time", async () => {
    const server = await script(status(502), stream(EVENT));
    const followed = follow(server.url, { reconnectionTimeMs: 60_000 });
    await followed.until("waiting");
    followed.stream.reopen();
    await followed.untilEvents(1);
  });

  it("that is full holds its clients, and they do not take that for a dead link", async () => {
    const { hub, port } = await serve(
      ({ sse, request }) => {
        if (request.url === "/first") sse.open();
        else void sse.subscribe("news");
      },
      { maxSessions: 1, heartbeatMs: 1_000 },
    );
    const first = follow(`http://127.0.0.1:${port}/first`);
    await first.until("open");
    const held = follow(`http://127.0.0.1:${port}/`, { heartbeatMs: 1_000 });
    await eventually("a held client", () => hub.stats().held === 1);
    await delay(4_000);
    expect(held.statuses.map(({ state }) => state)).toEqual(["connecting", "open"]);
    expect(hub.stats().held).toBe(1);
  });
});

describe("The position", () => {
  it("is reported as its bytes in UTF-8, as EventSource does", async () => {
    const server = await script(ended("id: ä€😀\ndata: x\n\n"), stream(EVENT));
    await follow(server.url).until("open", 2);
    const header = server.asked[1]?.headers["last-event-id"] as string;
    expect(Buffer.from(header, "latin1").toString("utf8")).toBe("ä€😀");
  });

  it("survives streams without IDs, and is reset by an empty one", async () => {
    const server = await script(
      ended("id: 1\ndata: x\n\n"),
      ended("data: x\n\n"),
      status(502),
      ended("id\ndata: x\n\n"),
      stream(EVENT),
    );
    await follow(server.url).until("open", 4);
    expect(server.asked.map(({ headers }) => headers["last-event-id"])).toEqual([
      undefined,
      "1",
      "1",
      "1",
      undefined,
    ]);
  });

  it("may be given, and set before the request and between two", async () => {
    const server = await script(ended(), ended(), stream(EVENT));
    const one = follow(server.url, { lastEventId: "a" });
    one.stream.lastEventId = "b";
    await one.until("waiting");
    expect(one.stream.lastEventId).toBe("b");
    one.stream.lastEventId = "c";
    await one.until("waiting", 2);
    expect(server.asked.map(({ headers }) => headers["last-event-id"])).toEqual(["b", "c"]);
    expect(() => (one.stream.lastEventId = "a\nb")).toThrow(TypeError);
  });
});

describe("A request", () => {
  it("asks for a stream, past every cache", async () => {
    const server = await script(stream(EVENT));
    await follow(server.url).until("open");
    expect(server.asked[0]).toMatchObject({
      method: "GET",
      headers: { accept: "text/event-stream", "cache-control": "no-cache" },
    });
  });

  it("has the headers of the application, asked anew for each attempt", async () => {
    const server = await script(ended(), stream(EVENT));
    let count = 0;
    await follow(server.url, {
      headers: () => [
        ["x-count", `${++count}`],
        ["accept", "text/event-stream, application/json"],
      ],
    }).until("open", 2);
    expect(server.asked.map(({ headers }) => [headers["x-count"], headers.accept])).toEqual([
      ["1", "text/event-stream, application/json"],
      ["2", "text/event-stream, application/json"],
    ]);
  });

  it("goes through the `fetch` of the application", async () => {
    const server = await script(stream(EVENT));
    const asked: unknown[] = [];
    const followed = follow("http://made.up/path", {
      credentials: "include",
      fetch(url, { credentials, cache }) {
        asked.push([this, url, credentials, cache]);
        return fetch(server.url);
      },
    });
    await followed.untilEvents(1);
    expect(asked).toEqual([[undefined, "http://made.up/path", "include", "no-store"]]);
  });
});
