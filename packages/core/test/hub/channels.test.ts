import diagnostics from "node:diagnostics_channel";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../../../../test/client.js";
import type { RequestOptions, StreamClient } from "../../../../test/client.js";
import { SseError } from "../../src/errors.js";
import { createHub } from "../../src/hub/hub.js";
import type { Hub } from "../../src/hub/hub.js";
import type { Log, LogFollower } from "../../src/log/log.js";
import { memoryLog } from "../../src/log/memory-log.js";
import type { SseMessage } from "../../src/wire/message.js";
import type { ErrorStage, HubOptions } from "../../src/options/hub.js";
import type { Session } from "../../src/hub/hub.js";
import { thrownBy, untyped } from "../thrown.js";

type Handler = (session: Session, response: http.ServerResponse) => unknown;

interface Harness {
  readonly hub: Hub;
  readonly reports: { readonly error: unknown; readonly stage: ErrorStage }[];
  readonly sessions: Session[];
  get(options?: RequestOptions): Promise<StreamClient>;
}

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A hub behind plain `node:http`. The handler gets each request's session. */
async function serve(handler: Handler, options: HubOptions = {}): Promise<Harness> {
  const reports: Harness["reports"] = [];
  const hub = createHub({
    reconnectionTimeMs: false,
    onError: (error, { stage }) => void reports.push({ error, stage }),
    ...options,
  });
  const sessions: Session[] = [];
  const server = http.createServer((incoming, response) => {
    const session = hub.createSession({ request: incoming, response });
    sessions.push(session);
    handler(session, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(async () => {
    await hub.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const target = { port: (server.address() as AddressInfo).port, protocol: "http1" } as const;
  const get = async (given: RequestOptions = {}): Promise<StreamClient> => {
    const client = await request(target, "/", {
      ...given,
      headers: { accept: "text/event-stream", ...given.headers },
    });
    closers.push(() => client.cut());
    return client;
  };
  return { hub, reports, sessions, get };
}

const subscribeToNews: Handler = (session) => void session.subscribe("news");

/** A gate that a test opens. */
function gate<T>(): { readonly opened: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open: (value) => open(value) };
}

describe("hub.publish", () => {
  it("resolves to an id that sessions then get", async () => {
    const { hub, get } = await serve(subscribeToNews);
    const client = await get();
    await client.until("sse-cursor");
    const { id } = await hub.publish("news", { event: "e", data: { a: 1 }, retry: 7 });
    await client.until(`event: e\nid: ${id}\nretry: 7\ndata: {"a":1}\n\n`);
  });

  it.each([
    ["no channel", "", "x", "ERR_SSE_INVALID_OPTION"],
    ["a channel that is too long", "x".repeat(257), "x", "ERR_SSE_INVALID_OPTION"],
    ["a channel that is not a string", 5, "x", "ERR_SSE_INVALID_OPTION"],
    ["no message", "news", undefined, "ERR_SSE_INVALID_DATA"],
    ["a message without data", "news", {}, "ERR_SSE_INVALID_DATA"],
    ["data that cannot be serialized", "news", { data: 1n }, "ERR_SSE_INVALID_DATA"],
    ["data that is too large", "news", "x".repeat(1_048_577), "ERR_SSE_INVALID_DATA"],
    ["an event type with a line break", "news", { event: "\r", data: 1 }, "ERR_SSE_INVALID_FIELD"],
    ["a reserved event type", "news", { event: "sse-x", data: 1 }, "ERR_SSE_INVALID_FIELD"],
    ["a reconnection time in words", "news", { retry: "1", data: 1 }, "ERR_SSE_INVALID_FIELD"],
    ["an id", "news", { id: "1", data: 1 }, "ERR_SSE_ID_RESERVED"],
    ["the id of the end", "news", { id: "~end", data: 1 }, "ERR_SSE_ID_RESERVED"],
  ])("throws at once for %s, and publishes nothing", async (_name, channel, message, code) => {
    const hub = createHub();
    const publish = (): unknown =>
      hub.publish(untyped<string>(channel), untyped<SseMessage>(message));
    expect(thrownBy(publish).code).toBe(code);
    expect(hub.stats()).toMatchObject({ published: 0, window: { events: 0 } });
    await hub.close();
  });

  it("rejects with ERR_SSE_CLOSED once the hub is closed, also through a channel, and reports it to onError", async () => {
    const reports: unknown[] = [];
    const hub = createHub({ onError: (error, { stage }) => void reports.push([stage, error]) });
    await hub.close();
    const closed = { code: "ERR_SSE_CLOSED", statusCode: 503 };
    await expect(hub.publish("news", "x")).rejects.toMatchObject(closed);
    await expect(hub.channel("news").publish("x")).rejects.toMatchObject(closed);
    expect(reports).toMatchObject([
      ["publish", closed],
      ["publish", closed],
    ]);
  });

  it("does not end the process when a failing publish is not awaited", async () => {
    const faults: unknown[] = [];
    const note = (error: unknown): void => void faults.push(error);
    process.on("unhandledRejection", note);
    const hub = createHub({ onError: () => {} });
    await hub.close();
    void hub.publish("news", "x");
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    process.off("unhandledRejection", note);
    expect(faults).toEqual([]);
  });

  it("rejects with the log's error, and delivers nothing", async () => {
    const log = memoryLog();
    const fault = new Error("disk full");
    let isBroken = false;
    const { hub, get } = await serve(subscribeToNews, {
      log: {
        start: (follower) => log.start(follower),
        append: async (channel, message) => {
          if (isBroken) throw fault;
          return log.append(channel, message);
        },
        health: () => log.health(),
        compare: (a, b) => log.compare(a, b),
        close: () => log.close(),
      },
    });
    const client = await get();
    await client.until("sse-cursor");
    isBroken = true;
    await expect(hub.publish("news", "lost")).rejects.toBe(fault);
    isBroken = false;
    await hub.publish("news", "taken");
    expect(await client.until("taken")).not.toContain("lost");
    expect(hub.stats().published).toBe(1);
  });
});

describe("hub.channel", () => {
  it("publishes and counts, and keeps nothing", async () => {
    const { hub, get } = await serve(subscribeToNews);
    const news = hub.channel("news");
    expect([news.name, news.subscriptionCount]).toEqual(["news", 0]);
    const client = await get();
    await client.until("sse-cursor");
    expect(news.subscriptionCount).toBe(1);
    const { id } = await news.publish({ data: 1 });
    await client.until(`id: ${id}\ndata: 1\n\n`);
    client.cut();
    await eventually("the session to end", () => news.subscriptionCount === 0);
    expect(hub.stats().channels).toBe(0);
  });
});

describe("session.subscribe", () => {
  it.each([
    ["no channel", [], {}, "ERR_SSE_INVALID_OPTION"],
    ["an empty name", [""], {}, "ERR_SSE_INVALID_OPTION"],
    ["an option that is unknown", "news", { replay: 1 }, "ERR_SSE_INVALID_OPTION"],
    ["a `latest` below 0", "news", { latest: -1 }, "ERR_SSE_INVALID_OPTION"],
  ])("throws for %s and leaves the response free", async (_name, channels, options, code) => {
    let thrown: unknown;
    const { get } = await serve((session, response) => {
      thrown = thrownBy(() => session.subscribe(channels, untyped<object>(options))).code;
      response.end(session.state);
    });
    expect(await (await get()).rest()).toBe("idle");
    expect(thrown).toBe(code);
  });

  it("opens the stream and resolves to true", async () => {
    const results: unknown[] = [];
    const { get } = await serve(async (session) => {
      results.push(await session.subscribe("news"), session.state);
    });
    const client = await get();
    await client.until(/^event: sse-cursor\nid: \S+\ndata: \{"heartbeatMs":15000\}\n\n$/);
    expect(results).toEqual([true, "open"]);
  });

  it("twice joins a channel once", async () => {
    const { hub, get, sessions } = await serve((session) => {
      void session.subscribe(["news", "news"]);
      void session.subscribe("news");
    });
    const client = await get();
    await client.until("sse-cursor");
    await expect(sessions[0]?.subscribe("news")).resolves.toBe(true);
    expect(hub.channel("news").subscriptionCount).toBe(1);
    await hub.publish("news", "once");
    await hub.publish("news", "last");
    const text = await client.until("last");
    expect(text.match(/once/g)).toHaveLength(1);
    expect(text.match(/sse-cursor/g)).toHaveLength(1);
  });

  it("resolves to false on a closed session, and joins nothing", async () => {
    const { hub, get, sessions } = await serve(subscribeToNews);
    const client = await get();
    await client.until("sse-cursor");
    sessions[0]?.close();
    await expect(sessions[0]?.subscribe("more")).resolves.toBe(false);
    await client.rest();
    expect(hub.stats()).toMatchObject({ channels: 0, sessions: { open: 0 } });
  });

  it("throws ERR_SSE_HEADERS_SENT after the route has answered", async () => {
    let code: unknown;
    const { get } = await serve((session, response) => {
      response.end("answered");
      ({ code } = thrownBy(() => session.subscribe("news")));
    });
    expect(await (await get()).rest()).toBe("answered");
    expect(code).toBe("ERR_SSE_HEADERS_SENT");
  });

  it("resolves to false when the hub is closing, and joins nothing", async () => {
    const { hub, get } = await serve(async (session) => {
      result = await session.subscribe("news");
    });
    let result: unknown;
    const closing = hub.close();
    const client = await get();
    await client.rest();
    await closing;
    expect(result).toBe(false);
    expect(hub.stats().channels).toBe(0);
  });

  it("resolves to false for a HEAD request", async () => {
    let result: unknown;
    const { hub, get } = await serve(async (session) => {
      result = await session.subscribe("news");
    });
    const client = await get({ method: "HEAD" });
    expect([client.status, result]).toEqual([200, false]);
    expect(hub.stats().channels).toBe(0);
  });

  it("reserves the ids: sending own ids throws, and so does subscribing after that", async () => {
    const codes: unknown[] = [];
    const { get } = await serve((session) => {
      if (session.lastEventId === "own") {
        void session.send({ id: "1", data: "x" });
        codes.push(thrownBy(() => session.subscribe("news")).code);
      } else {
        void session.subscribe("news");
        codes.push(thrownBy(() => session.send({ id: "1", data: "x" })).code);
        codes.push(thrownBy(() => session.send({ id: "" })).code);
        void session.send({ data: "without" });
      }
    });
    const subscribed = await get();
    expect(await subscribed.until("data: without\n\n")).not.toContain("id: 1\n");
    await (await get({ headers: { "last-event-id": "own" } })).until("id: 1\n");
    expect(codes).toEqual(["ERR_SSE_ID_RESERVED", "ERR_SSE_ID_RESERVED", "ERR_SSE_ID_RESERVED"]);
  });

  it("reserves the ids from the call on, even while authorize is pending", async () => {
    const verdict = gate<boolean>();
    let code: unknown;
    const { get } = await serve(
      (session) => {
        void session.subscribe("news");
        try {
          void session.send({ id: "1", data: "x" });
        } catch (error) {
          ({ code } = error as { code: unknown });
        }
      },
      { authorize: () => verdict.opened },
    );
    const pending = get();
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    verdict.open(true);
    await (await pending).until("sse-cursor");
    expect(code).toBe("ERR_SSE_ID_RESERVED");
  });

  it("ends the stream with `error` if the snapshot fails, and reports it", async () => {
    const fault = new Error("no state");
    const reasons: unknown[] = [];
    const { hub, get, reports } = await serve((session) => {
      session.onClose((reason) => void reasons.push(reason));
      void session.subscribe("news", {
        snapshot: async () => {
          throw fault;
        },
      });
    });
    const client = await get();
    // It reconnects later than usual, because the snapshot may fail again.
    expect(await client.rest()).toMatch(/^event: sse-retry\nretry: \d{4,5}\ndata: \{\}\n\n$/);
    expect(reasons).toEqual(["error"]);
    expect(reports).toEqual([{ error: fault, stage: "snapshot" }]);
    expect(hub.stats()).toMatchObject({ channels: 0, closes: { error: 1 } });
  });
});

describe("session.unsubscribe", () => {
  it("leaves channels and keeps the stream", async () => {
    const { hub, get, sessions } = await serve(
      (session) => void session.subscribe(["news", "sport"]),
    );
    const client = await get();
    await client.until("sse-cursor");
    sessions[0]?.unsubscribe(["sport", "never joined"]);
    expect(hub.stats().channels).toBe(1);
    await hub.publish("sport", "gone");
    await hub.publish("news", "kept");
    expect(await client.until("kept")).not.toContain("gone");
    sessions[0]?.unsubscribe("news");
    expect([hub.stats().channels, sessions[0]?.state]).toEqual([0, "open"]);
  });

  it("checks the names, and has no effect before channels were joined", async () => {
    const { get } = await serve((session, response) => {
      session.unsubscribe("news");
      response.end(thrownBy(() => session.unsubscribe([""])).code);
    });
    expect(await (await get()).rest()).toBe("ERR_SSE_INVALID_OPTION");
  });
});

describe("authorizeAll", () => {
  it("is called once for each call of subscribe, with all of its channels", async () => {
    const asked: unknown[] = [];
    const { get } = await serve(
      (session) => {
        void session.subscribe(["news", "sport", "news"]);
        void session.subscribe("weather");
      },
      {
        authorizeAll: (channels, session) => {
          asked.push([channels, (session.request as http.IncomingMessage).url]);
          return true;
        },
      },
    );
    await (await get()).until("sse-cursor");
    expect(asked).toEqual([
      [["news", "sport"], "/"],
      [["weather"], "/"],
    ]);
  });

  it.each([
    ["true", () => true],
    ["a promise of true", async () => true],
    ["true for each", () => [true, true]],
    ["a promise of true for each", async () => [true, true]],
  ])("allows for %s", async (_name, authorizeAll) => {
    const { get } = await serve((session) => void session.subscribe(["news", "sport"]), {
      authorizeAll,
    });
    expect(await (await get()).until("sse-cursor")).not.toContain("sse-reset");
  });

  it.each([
    ["false", () => false],
    ["true for one of two", () => [true, false]],
    ["a promise of true for one of two", async () => [false, true]],
    ["fewer answers than channels", () => [true]],
    ["more answers than channels", async () => [true, true, true]],
    ["no answers", () => []],
    ["promises, as a forgotten await gives", () => [Promise.resolve(true), Promise.resolve(true)]],
    ["nothing", () => {}],
    ["an object", async () => ({ 0: true, 1: true, length: 2 })],
  ])("refuses the whole call with 403 for %s", async (_name, authorizeAll) => {
    let result: unknown;
    const { hub, get } = await serve(
      async (session) => {
        result = await session.subscribe(["news", "sport"]);
      },
      { authorizeAll: untyped<() => boolean>(authorizeAll) },
    );
    expect((await get()).status).toBe(403);
    expect([result, hub.stats().channels]).toEqual([false, 0]);
  });

  it("refuses with 500 and reports if it throws or rejects", async () => {
    for (const authorizeAll of [() => thrower(), async () => thrower()]) {
      const { get, reports } = await serve(subscribeToNews, { authorizeAll });
      expect((await get()).status).toBe(500);
      expect(reports).toMatchObject([{ error: { message: "secret" }, stage: "authorize" }]);
    }
  });

  it("cannot be combined with authorize", () => {
    const both = { authorize: () => true, authorizeAll: () => true };
    expect(thrownBy(() => createHub(both))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: "Expected `authorize` or `authorizeAll`, got both",
    });
  });
});

describe("authorize", () => {
  it("is called for every channel, with the session, and allows only for true", async () => {
    const asked: [string, unknown][] = [];
    const { get } = await serve((session) => void session.subscribe(["news", "sport"]), {
      authorize: (channel, session) => {
        asked.push([channel, (session.request as http.IncomingMessage).url]);
        return true;
      },
    });
    await (await get()).until("sse-cursor");
    expect(asked).toEqual([
      ["news", "/"],
      ["sport", "/"],
    ]);
  });

  it.each([
    ["false", () => false],
    ["a promise of false", async () => false],
    ["1", () => 1],
    ['"yes"', () => "yes"],
    ["an object, as a forgotten await gives", () => ({ allowed: false })],
    ["a promise of an object", async () => ({})],
    ["nothing", () => {}],
    ["true for one channel of two", (channel: string) => channel === "news"],
  ])("refuses with 403 before the head for %s", async (_name, authorize) => {
    let result: unknown;
    const { hub, get, reports, sessions } = await serve(
      async (session) => {
        result = await session.subscribe(["news", "sport"]);
      },
      { authorize: untyped<() => boolean>(authorize) },
    );
    const client = await get();
    expect(await client.rest()).toBe("Forbidden\n");
    expect(client.status).toBe(403);
    expect(client.headers["content-type"]).toContain("text/plain");
    expect([result, sessions[0]?.state, reports]).toEqual([false, "closed", []]);
    expect(hub.stats()).toMatchObject({ channels: 0, sessions: { open: 0 } });
  });

  it.each([
    ["throws", () => thrower()],
    ["rejects", async () => thrower()],
  ])(
    "that %s refuses with 500 before the head, reports, and tells the client no details",
    async (_name, authorize) => {
      const { get, reports } = await serve(subscribeToNews, { authorize });
      const client = await get();
      expect(await client.rest()).toBe("Internal Server Error\n");
      expect(client.status).toBe(500);
      expect(reports).toMatchObject([{ error: { message: "secret" }, stage: "authorize" }]);
    },
  );

  it("is called again when a client comes back", async () => {
    let isAllowed = true;
    const { get } = await serve(subscribeToNews, { authorize: () => isAllowed });
    const client = await get();
    const [, id = ""] = /^id: (.+)$/m.exec(await client.until(/^id: .+\n/m)) ?? [];
    client.cut();
    isAllowed = false;
    expect((await get({ headers: { "last-event-id": id } })).status).toBe(403);
  });

  it("closes an open stream with `refused`", async () => {
    const { hub, get } = await serve(
      (session) => {
        session.open();
        void session.subscribe("news");
      },
      { authorize: async () => false },
    );
    const client = await get();
    await client.rest();
    expect(hub.stats().closes.refused).toBe(1);
  });

  it("leaves nothing behind when the client leaves while it is pending", async () => {
    const verdict = gate<boolean>();
    let result: unknown;
    const { hub, get, reports } = await serve(
      async (session) => {
        session.open();
        result = await session.subscribe("news");
      },
      { authorize: () => verdict.opened },
    );
    const client = await get();
    await client.until(":\n\n");
    client.cut();
    await eventually("the session to end", () => hub.sessionCount === 0);
    verdict.open(true);
    await eventually("an answer", () => result !== undefined);
    expect([result, reports]).toEqual([false, []]);
    expect(hub.stats().channels).toBe(0);
  });

  it("leaves nothing behind when the client of a subscribed stream leaves while a further call is pending", async () => {
    const verdict = gate<boolean>();
    let result: unknown;
    const { hub, get } = await serve(
      async (session) => {
        await session.subscribe("news");
        result = await session.subscribe("more");
      },
      { authorize: (channel) => (channel === "news" ? true : verdict.opened) },
    );
    const client = await get();
    await client.until("sse-cursor");
    client.cut();
    await eventually("the session to end", () => hub.sessionCount === 0);
    verdict.open(true);
    await eventually("an answer", () => result !== undefined);
    expect(result).toBe(false);
    expect(hub.stats().channels).toBe(0);
  });

  it("that answers one call at once does not send the reset before the other calls of its turn", async () => {
    const { get } = await serve(
      async (session) => {
        void session.subscribe("news");
        // Long after the answer, but still in the turn of the first call.
        for (let job = 0; job < 50; job++) await Promise.resolve();
        void session.subscribe("more");
      },
      { authorize: async () => true },
    );
    const client = await get({ headers: { "last-event-id": "of another log" } });
    await client.until("sse-reset");
    expect(client.text).toContain('"channels":["news","more"]');
  });

  it.each([
    ["at once", () => true],
    ["later", async () => true],
  ])("that allows %s leaves the events of `latest` their ids", async (_when, authorize) => {
    const { hub, get } = await serve((session) => void session.subscribe("news", { latest: 2 }), {
      authorize,
    });
    await hub.publish("news", "a");
    const ids = [await hub.publish("news", "b"), await hub.publish("news", "c")];
    const client = await get();
    await client.until("data: c\n\n");
    const [b, c] = ids.map(({ id }) => id);
    expect(client.text).toContain(`id: ${b}\ndata: b\n\nid: ${c}\ndata: c\n\n`);
  });

  it.each([[true], [false]])(
    "that answers %s after the route has answered changes nothing: subscribe resolves to false and never rejects",
    async (isAllowed) => {
      const verdict = gate<boolean>();
      let result: unknown;
      const { hub, get } = await serve(
        (session, response) => {
          session.subscribe("news").then(
            (value) => (result = value),
            (error: unknown) => (result = error),
          );
          response.statusCode = 503;
          response.end("too late");
        },
        { authorize: () => verdict.opened },
      );
      const client = await get();
      expect([client.status, await client.rest()]).toEqual([503, "too late"]);
      verdict.open(isAllowed);
      await eventually("an answer", () => result !== undefined);
      expect(result).toBe(false);
      expect(hub.stats().channels).toBe(0);
    },
  );
});

describe("hub.stats", () => {
  it("is all zero at first, and is a copy", async () => {
    const hub = createHub();
    const stats = hub.stats();
    expect(stats).toEqual({
      closing: false,
      sessions: { connecting: 0, open: 0, live: 0, behind: 0 },
      held: 0,
      opened: 0,
      turnedAway: 0,
      readers: 0,
      channels: 0,
      published: 0,
      delivered: 0,
      deliveredBytes: 0,
      sent: 0,
      sentBytes: 0,
      replays: 0,
      resets: { trimmed: 0, unknown: 0, overflow: 0, fork: 0 },
      closes: {
        client: 0,
        ended: 0,
        completed: 0,
        slow: 0,
        expired: 0,
        shutdown: 0,
        refused: 0,
        revoked: 0,
        replaced: 0,
        error: 0,
      },
      window: { events: 0, bytes: 0, ageMs: 0 },
      log: { state: "live", lagMs: 0, reconnects: 0 },
    });
    await hub.publish("news", "x");
    expect(stats.published).toBe(0);
    expect(JSON.parse(JSON.stringify(hub.stats()))).toMatchObject({ published: 1 });
  });

  it("counts events, bytes and sessions", async () => {
    const { hub, get } = await serve((session) => {
      void session.subscribe(["news", "sport"]);
    });
    const clients = [await get(), await get(), await get()];
    for (const client of clients) await client.until("sse-cursor");
    const { id } = await hub.publish("news", "one");
    const { id: other } = await hub.publish("nobody", "two");
    for (const client of clients) await client.until("data: one\n\n");
    const bytes = `id: ${id}\ndata: one\n\n`.length;
    expect(hub.stats()).toMatchObject({
      sessions: { connecting: 0, open: 3, live: 3, behind: 0 },
      channels: 2,
      published: 2,
      delivered: 3,
      deliveredBytes: 3 * bytes,
      replays: 0,
      window: { events: 2 },
    });
    // The rest of a chunk lies around each frame, followed by four bytes and the name of its channel.
    const around = "ff\r\n\r\n".length + 4;
    const both = bytes + `id: ${other}\ndata: two\n\n`.length + 2 * around;
    expect(hub.stats().window.bytes).toBe(both + "news".length + "nobody".length);
    clients[0]?.cut();
    await eventually("one to have left", () => hub.sessionCount === 2);
    await hub.publish("news", "three");
    const back = await get({ headers: { "last-event-id": id } });
    await back.until("data: three\n\n");
    const lost = await get({ headers: { "last-event-id": "x" } });
    await lost.until("sse-reset");
    expect(hub.stats()).toMatchObject({
      sessions: { open: 4, live: 4 },
      published: 3,
      delivered: 3 + 2 + 1,
      replays: 1,
      resets: { trimmed: 0, unknown: 1, overflow: 0, fork: 0 },
      closes: { client: 1 },
    });
  });

  it("counts a client that cannot keep up as behind", async () => {
    const { hub, get } = await serve(subscribeToNews, { maxBufferedBytes: 64 * 1_048_576 });
    const client = await get({ paused: true });
    const large = "x".repeat(1_000_000);
    for (let n = 0; n < 30; n++) await hub.publish("news", large);
    await eventually("the client to be behind", () => hub.stats().sessions.behind === 1);
    expect(hub.stats().sessions).toEqual({ connecting: 0, open: 1, live: 0, behind: 1 });
    client.resume();
    await eventually("the client to be live", () => hub.stats().sessions.live === 1);
    await eventually("all of it", () => client.text.length > 30_000_000);
    expect(hub.stats().delivered).toBe(30);
  });
});

describe("a log that starts later", () => {
  function lateLog(): {
    log: Log;
    start: (tail: string) => void;
    fail: (error: Error) => void;
    follower: () => LogFollower;
  } {
    let follower: LogFollower | undefined;
    let start: (tail: string) => void = () => {};
    let fail: (error: Error) => void = () => {};
    const started = new Promise<string>((resolve, reject) => {
      start = resolve;
      fail = reject;
    });
    const numberOf = (id: string): number => (/^\d+$/.test(id) ? Number(id) : NaN);
    return {
      start: (tail) => start(tail),
      fail: (error) => fail(error),
      follower: () => follower as LogFollower,
      log: {
        start: (given) => {
          follower = given;
          return started;
        },
        append: async () => "0",
        health: () => ({ state: "live", lagMs: 0, reconnects: 0 }),
        compare: (a, b) => numberOf(a) - numberOf(b),
        close: async () => {},
      },
    };
  }

  it("makes sessions wait for it, and loses no entry that arrives before the tail is known", async () => {
    const late = lateLog();
    const { get, sessions } = await serve(subscribeToNews, { log: late.log });
    const pending = get({ headers: { "last-event-id": "100" } });
    await eventually("the request", () => sessions.length === 1);
    late.follower().entries([{ id: "101", channel: "news", data: "early" }]);
    late.start("100");
    const client = await pending;
    expect(await client.until("early")).not.toContain("sse-reset");
    late.follower().entries([{ id: "102", channel: "news", data: "later" }]);
    await client.until("later");
  });

  it("voids entries before a reset that arrives before the tail is known", async () => {
    const late = lateLog();
    const { get, sessions } = await serve(subscribeToNews, { log: late.log });
    const pending = get({ headers: { "last-event-id": "100" } });
    await eventually("the request", () => sessions.length === 1);
    late.follower().entries([{ id: "101", channel: "news", data: "early" }]);
    late.follower().reset("fork", "50");
    late.follower().entries([{ id: "51", channel: "news", data: "after" }]);
    late.start("100");
    const client = await pending;
    await client.until("sse-reset");
    late.follower().entries([{ id: "52", channel: "news", data: "live" }]);
    await client.until("live");
    expect(client.text.match(/sse-reset/g)).toHaveLength(1);
  });

  it("lets streams open after a second, so that clients do not give up, and resets them once it has started", async () => {
    const late = lateLog();
    const { get } = await serve(subscribeToNews, { log: late.log });
    const client = await get();
    expect(client.status).toBe(200);
    expect(await client.until("\n\n")).not.toContain("sse-cursor");
    // Events published between the head and the start may be lost.
    late.start("100");
    expect(await client.until("sse-reset")).toContain("id: 100");
    expect(await client.until("\n\n")).toContain('{"reason":"unknown","channels":["news"]}');
  });

  it("holds the head back for a moment, so that a stream begins at a position", async () => {
    const late = lateLog();
    const { get, sessions } = await serve(subscribeToNews, { log: late.log });
    const pending = get();
    await eventually("the request", () => sessions.length === 1);
    expect(sessions[0]?.state).toBe("idle");
    late.start("100");
    const client = await pending;
    expect(await client.until("sse-cursor")).toContain("id: 100");
    expect(client.text).not.toContain("sse-reset");
  });

  it("calls the snapshot of a later call for a returning client", async () => {
    const late = lateLog();
    const { get, sessions } = await serve(
      (session) => {
        void session.subscribe("news");
        void session.subscribe("more", { snapshot: () => ["state of more"] });
      },
      { log: late.log },
    );
    const pending = get({ headers: { "last-event-id": "100" } });
    await eventually("the request", () => sessions.length === 1);
    late.follower().entries([{ id: "101", channel: "more", data: "in the state" }]);
    late.follower().entries([{ id: "102", channel: "news", data: "missed" }]);
    late.start("100");
    const client = await pending;
    await client.until("missed");
    await client.until("state of more");
    late.follower().entries([{ id: "103", channel: "more", data: "after" }]);
    await client.until("after");
    expect(client.text).not.toMatch(/in the state|sse-reset/);
  });

  it("that is closed before it could start does not give clients an error that would make EventSource give up", async () => {
    const late = lateLog();
    const { hub, get } = await serve(subscribeToNews, { log: late.log });
    void hub.close({ drainMs: 300 });
    late.fail(new SseError("ERR_SSE_CLOSED", "The log is closed"));
    const during = await get();
    expect([during.status, await during.rest(), during.isBroken]).toEqual([200, ":\n\n", true]);
    await hub.close();
    const after = await get();
    expect([after.status, await after.rest(), after.isBroken]).toEqual([200, ":\n\n", true]);
  });

  it("that cannot start ends open streams, refuses others and reports the error with the stage log", async () => {
    const late = lateLog();
    const { get, sessions, reports } = await serve(subscribeToNews, { log: late.log });
    const client = await get();
    late.fail(new Error("unreachable"));
    await client.rest();
    expect(sessions.map(({ state }) => state)).toEqual(["closed"]);
    const second = await get();
    expect(second.status).toBe(500);
    await second.rest();
    expect(new Set(reports.map(({ stage }) => stage))).toEqual(new Set(["log"]));
  });
});

describe("the diagnostics channels", () => {
  function listen(name: string): unknown[] {
    const heard: unknown[] = [];
    const listener = (message: unknown): void => void heard.push(message);
    diagnostics.subscribe(name, listener);
    closers.push(() => void diagnostics.unsubscribe(name, listener));
    return heard;
  }

  it("report sessions, publishes and resets", async () => {
    const opened = listen("tidewire.session.open");
    const closed = listen("tidewire.session.close");
    const published = listen("tidewire.publish");
    const resets = listen("tidewire.reset");
    const delays = listen("tidewire.delivery");
    const { hub, get, sessions } = await serve(subscribeToNews);
    const client = await get({ headers: { "last-event-id": "x" } });
    await client.until("sse-reset");
    const { id } = await hub.publish("news", "x");
    await client.until("data: x");
    client.cut();
    await eventually("the session to end", () => hub.sessionCount === 0);
    const [session] = sessions;
    expect(opened).toEqual([{ session, waitMs: expect.any(Number) }]);
    const bytes = `id: ${id}\ndata: x\n\n`.length;
    const end = { reason: "client", lifetimeMs: expect.any(Number), events: 1, bytes };
    expect(closed).toEqual([{ session, ...end }]);
    expect(delays).toEqual([{ hub, delayMs: expect.any(Number) }]);
    expect(published).toEqual([{ hub, channel: "news", id, message: "x" }]);
    expect(resets).toEqual([{ session, reason: "unknown", channels: ["news"] }]);
  });

  it("tell how long a session waited, how long its stream lasted, and what it was sent", async () => {
    const opened = listen("tidewire.session.open");
    const closed = listen("tidewire.session.close");
    const { hub, get } = await serve(
      async (session) => {
        await session.subscribe("news");
        await session.send("hello");
        await session.comment("not counted");
      },
      {
        authorize: () =>
          new Promise((resolve) => {
            setTimeout(resolve, 40, true);
          }),
      },
    );
    const client = await get();
    await client.until("not counted");
    expect(hub.stats()).toMatchObject({ opened: 1, sent: 1, sentBytes: "data: hello\n\n".length });
    await hub.publish("news", "x");
    await client.until("data: x");
    await new Promise((resolve) => {
      setTimeout(resolve, 60);
    });
    client.cut();
    await eventually("the session to end", () => closed.length === 1);
    const [{ waitMs }] = opened as [{ waitMs: number }];
    expect([waitMs >= 39, waitMs < 5_000]).toEqual([true, true]);
    const [{ lifetimeMs, events }] = closed as [{ lifetimeMs: number; events: number }];
    expect([lifetimeMs >= 59, lifetimeMs < 5_000, events]).toEqual([true, true, 2]);
  });

  it("create no messages without subscribers", async () => {
    const channels = [
      "tidewire.session.open",
      "tidewire.session.close",
      "tidewire.publish",
      "tidewire.reset",
      "tidewire.delivery",
    ].map((name) => diagnostics.channel(name));
    let messages = 0;
    for (const channel of channels) {
      const { publish } = channel;
      channel.publish = (message) => {
        messages += 1;
        publish.call(channel, message);
      };
      closers.push(() => void (channel.publish = publish));
    }
    const { hub, get } = await serve(subscribeToNews);
    const client = await get({ headers: { "last-event-id": "x" } });
    await client.until("sse-reset");
    await hub.publish("news", "x");
    client.cut();
    await eventually("the session to end", () => hub.sessionCount === 0);
    expect(messages).toBe(0);
  });
});

function thrower(): never {
  throw new Error("secret");
}
