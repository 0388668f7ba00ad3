import { createHub, memoryLog } from "@tidewire/core";
import type { Hub, HubOptions, Log, Session } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import type { StreamClient, Target } from "../client.js";
import { IS_READ, createFollower } from "./follow.mjs";
import type { Follower } from "./follow.mjs";
import { listen } from "./listen.js";

interface Server extends Target {
  readonly hub: Hub;
  readonly follower: Follower;
  /** Duration of the last `subscribe` call, in milliseconds. */
  readonly timing: { subscribeMs: number };
}

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(options: HubOptions = {}): Promise<Server> {
  const hub = createHub({ reconnectionTimeMs: false, ...options });
  const follower = createFollower(hub, 1_000);
  const timing = { subscribeMs: NaN };
  const server = await listen(hub, (incoming, response) => {
    const start = performance.now();
    follower.follow(incoming, response, "news");
    timing.subscribeMs = performance.now() - start;
  });
  closers.push(() => server.close());
  return { hub, follower, timing, port: server.port, protocol: "http1" };
}

/** Publishes numbered events, every other one on a channel without listeners. */
async function publish(hub: Hub, from: number, to: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = from; n <= to; n++) {
    ids.push((await hub.publish("news", { event: "n", data: n })).id);
    await hub.publish("other", "not for this client");
  }
  return ids;
}

/** Reconnects with an id, waits for another live event, and leaves. */
async function resume(server: Server, lastEventId: string): Promise<StreamClient> {
  const client = await request(server, "/", {
    headers: { accept: "text/event-stream", "last-event-id": lastEventId },
  });
  expect(client.status).toBe(200);
  await eventually("the client to be live", () => server.follower.stats().sessions.live === 1);
  await server.hub.publish("news", { event: "n", data: "live" });
  await client.until("data: live\n\n");
  client.cut();
  await eventually("the session to end", () => server.follower.stats().sessions.open === 0);
  return client;
}

function numbersOf({ text }: StreamClient): number[] {
  return [...text.matchAll(/^data: (\d+)$/gm)].map(([, number]) => Number(number));
}

function resetsOf({ text }: StreamClient): unknown[] {
  return [...text.matchAll(/^event: sse-reset\nid: .+\n(?:retry: .+\n)?data: (.*)$/gm)].map(
    ([, data]) => JSON.parse(data ?? "") as unknown,
  );
}

describe("a client that comes back", () => {
  const RETAINED = { retention: { maxEvents: 20 } };

  it("to an empty log gets only a cursor event if it has no id", async () => {
    const server = await serve();
    const client = await request(server, "/", { headers: { accept: "text/event-stream" } });
    await client.until(/event: sse-cursor\nid: .+\ndata: \{"heartbeatMs":\w+\}\n\n/);
    await server.hub.publish("news", "live");
    await client.until("data: live\n\n");
    expect(client.text.match(/^event: /gm)).toHaveLength(1);
    client.cut();
  });

  it("with the position of an empty log gets everything published since", async () => {
    const server = await serve(RETAINED);
    const fresh = await request(server, "/", { headers: { accept: "text/event-stream" } });
    const [, origin = ""] = /^id: (.+)$/m.exec(await fresh.until(/^id: .+\n/m)) ?? [];
    fresh.cut();
    await eventually("the session to end", () => server.follower.stats().sessions.open === 0);
    const empty = await resume(server, origin);
    expect([numbersOf(empty), resetsOf(empty)]).toEqual([[], []]);
    await publish(server.hub, 1, 5);
    const client = await resume(server, origin);
    expect([numbersOf(client), resetsOf(client)]).toEqual([[1, 2, 3, 4, 5], []]);
  });

  it("with the id of the tail gets its id again, and then only live events", async () => {
    const server = await serve(RETAINED);
    await publish(server.hub, 1, 5);
    const { id } = await server.hub.publish("news", { event: "n", data: 6 });
    const client = await resume(server, id);
    expect([numbersOf(client), resetsOf(client)]).toEqual([[], []]);
    expect(client.text).toMatch(/^event: sse-cursor\n/);
    expect(client.text.match(/^event: sse-.*\nid: .*$/gm)).toEqual([
      `event: sse-cursor\nid: ${id}`,
    ]);
    expect(server.follower.stats()).toMatchObject({
      replays: 0,
      resets: { trimmed: 0, unknown: 0 },
    });
  });

  it("with the id of the first retained event gets all later ones", async () => {
    const server = await serve(RETAINED);
    // 30 events for this client and 30 others: the window holds the last 20 of the 60.
    const ids = await publish(server.hub, 1, 30);
    const client = await resume(server, ids[20] as string);
    expect(numbersOf(client)).toEqual([22, 23, 24, 25, 26, 27, 28, 29, 30]);
    expect(resetsOf(client)).toEqual([]);
    expect(client.text.match(/^id: /gm)).toHaveLength(11);
    expect(client.text).toMatch(/^event: sse-cursor\n/);
    expect(server.follower.stats().replays).toBe(1);
  });

  it("with an id after which only events of other channels were trimmed gets all later ones", async () => {
    const server = await serve(RETAINED);
    const ids = await publish(server.hub, 1, 30);
    const client = await resume(server, ids[19] as string);
    expect(numbersOf(client)).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    expect(resetsOf(client)).toEqual([]);
  });

  it("with an id after which an event of its channels was trimmed gets one reset", async () => {
    const server = await serve(RETAINED);
    const ids = await publish(server.hub, 1, 30);
    const client = await resume(server, ids[18] as string);
    expect(numbersOf(client)).toEqual([]);
    expect(resetsOf(client)).toEqual([{ reason: "trimmed", channels: ["news"] }]);
    expect(server.follower.stats()).toMatchObject({ replays: 0, resets: { trimmed: 1 } });
  });

  it.each([
    ["like one of this log but was never given", (id: string) => `${id}9`],
    ["of no log", () => "12345"],
    ["garbage", () => "}{'\";--\\%00"],
    ["of bytes beyond ASCII", () => "\u00e9\u00ff"],
    ["a single space", () => " "],
    ["10 KB long", () => "x".repeat(10_240)],
    ["10 KB long and begins as an id of this log", (id: string) => id.padEnd(10_240, "0")],
    ["the name of a property of every object", () => "__proto__"],
  ])("with an id that is %s gets one reset, then live events", async (name, forge) => {
    const server = await serve(RETAINED);
    const ids = await publish(server.hub, 1, 30);
    const client = await resume(server, forge(ids.at(-1) as string));
    expect(numbersOf(client)).toEqual([]);
    const isNone = name === "a single space";
    expect(resetsOf(client)).toEqual(isNone ? [] : [{ reason: "unknown", channels: ["news"] }]);
    expect(client.text.match(/^event: sse-.*$/gm)).toEqual([
      isNone ? "event: sse-cursor" : "event: sse-reset",
    ]);
  });

  it("with an id from before a restart gets one reset", async () => {
    const before = createHub();
    const { id } = await before.publish("news", "1");
    await before.close();
    const server = await serve(RETAINED);
    await publish(server.hub, 1, 5);
    const client = await resume(server, id);
    expect(numbersOf(client)).toEqual([]);
    expect(resetsOf(client)).toEqual([{ reason: "unknown", channels: ["news"] }]);
  });

  it("after its reset with the id of the reset gets what it missed since, and no second reset", async () => {
    const server = await serve(RETAINED);
    await publish(server.hub, 1, 30);
    const first = await resume(server, "garbage");
    const [, id = ""] = /^event: sse-reset\nid: (.+)$/m.exec(first.text) ?? [];
    await publish(server.hub, 31, 33);
    const second = await resume(server, id);
    expect([numbersOf(second), resetsOf(second)]).toEqual([[31, 32, 33], []]);
  });

  it("with the id in the query is served the same way, and the header wins", async () => {
    const server = await serve(RETAINED);
    const ids = await publish(server.hub, 1, 3);
    const byQuery = await request(server, `/?lastEventId=${ids[1]}`);
    await byQuery.until("data: 3\n\n");
    expect(numbersOf(byQuery)).toEqual([3]);
    byQuery.cut();
    const both = await request(server, `/?lastEventId=${ids[0]}`, {
      headers: { "last-event-id": ids[1] as string },
    });
    await both.until("data: 3\n\n");
    expect(numbersOf(both)).toEqual([3]);
    both.cut();
  });
});

describe("A window that turns over within two seconds", () => {
  it("never passes a client whose channel is quiet", async () => {
    const server = await serve({ heartbeatMs: false, retention: { maxEvents: 8 } });
    const quiet = await request(server, "/", { headers: { accept: "text/event-stream" } });
    await quiet.until("sse-cursor");
    for (let n = 0; n < 28; n++) {
      await server.hub.publish("other", "not for this client");
      await new Promise((resolve) => {
        setTimeout(resolve, 250);
      });
      const lastEventId = quiet.text.match(/(?<=^id: ).*$/gm)?.at(-1) ?? "";
      const back = await request(server, `/?lastEventId=${lastEventId}`);
      await eventually("both to be live", () => server.follower.stats().sessions.live === 2);
      back.cut();
      await eventually("one to be left", () => server.follower.stats().sessions.open === 1);
    }
    expect(server.follower.stats().resets).toMatchObject({ trimmed: 0, overflow: 0, unknown: 0 });
    quiet.cut();
  });
});

describe.skipIf(IS_READ)("100 000 retained events", () => {
  /** A log that counts comparisons of ids. */
  function countingLog(): { log: Log; count: () => number } {
    const log = memoryLog();
    let compared = 0;
    return {
      count: () => compared,
      log: {
        start: (follower) => log.start(follower),
        append: (channel, message) => log.append(channel, message),
        health: () => log.health(),
        close: () => log.close(),
        compare: (a, b) => {
          compared += 1;
          return log.compare(a, b);
        },
      },
    };
  }

  it("cost a client that resumes near the tail nothing: only the tail is touched", async () => {
    const { log, count } = countingLog();
    const server = await serve({ log });
    const ids: string[] = [];
    for (let n = 1; n <= 100_000; n++) {
      ids.push((await server.hub.publish("news", { event: "n", data: n })).id);
    }
    expect(server.follower.stats().window.events).toBe(100_000);
    const before = { compared: count(), ...server.follower.stats() };
    const client = await resume(server, ids.at(-11) as string);
    expect(numbersOf(client)).toEqual([
      99_991, 99_992, 99_993, 99_994, 99_995, 99_996, 99_997, 99_998, 99_999, 100_000,
    ]);
    expect(resetsOf(client)).toEqual([]);
    // The search is binary, and only missed events are written.
    expect(count() - before.compared).toBeLessThan(30);
    const after = server.follower.stats();
    expect(after.delivered - before.delivered).toBe(11);
    expect(after.deliveredBytes - before.deliveredBytes).toBeLessThan(1_000);
    const first = server.timing.subscribeMs;
    const times: number[] = [];
    for (let n = 0; n < 20; n++) {
      await resume(server, ids.at(-11) as string);
      times.push(server.timing.subscribeMs);
    }
    const median = times.toSorted((a, b) => a - b)[10] ?? NaN;
    console.log(
      `100 000 events retained, resume 10 before the tail: subscribe took ${first.toFixed(2)} ms the first time, ${median.toFixed(2)} ms in the median`,
    );
  });
});

describe.skipIf(IS_READ)("a message that is sent in the turn in which a stream resumes", () => {
  /** @returns The data for a client that comes back with an id and has missed `missed` events. */
  async function comeBack(
    route: (session: Session) => unknown,
    { lastEventId, ...options }: HubOptions & { readonly lastEventId?: string } = {},
  ): Promise<string> {
    const hub = createHub({ reconnectionTimeMs: 4_321, heartbeatMs: false, ...options });
    const server = await listen(hub, (incoming, response) => {
      void route(hub.createSession({ request: incoming, response }));
    });
    closers.push(() => server.close());
    const { id } = await hub.publish("news", "seen");
    await hub.publish("news", "missed");
    const client = await request({ port: server.port, protocol: "http1" }, "/", {
      headers: {
        accept: "text/event-stream",
        origin: "https://tide.example",
        "last-event-id": lastEventId ?? id,
      },
    });
    await client.until(/data: second\n\n|sse-complete/);
    client.cut();
    return client.text.replaceAll(id, "<id>").replaceAll(/^id: [^<\n].*$/gm, "id: <new>");
  }

  const sendTwo = (session: Session): void => {
    void session.send("first");
    void session.send("second");
  };
  const subscribeAndSend = (session: Session): void => {
    void session.subscribe("news");
    sendTwo(session);
  };
  const CURSOR = 'event: sse-cursor\nid: <id>\nretry: 4321\ndata: {"heartbeatMs":false}\n\n';
  const MISSED = "id: <new>\ndata: missed\n\n";
  const SENT = "data: first\n\ndata: second\n\n";
  const RESET =
    'event: sse-reset\nid: <new>\nretry: 4321\ndata: {"reason":"unknown","channels":["news"]}\n\n';

  it("follows the cursor event and the missed events", async () => {
    expect(await comeBack(subscribeAndSend)).toBe(CURSOR + MISSED + SENT);
  });

  it("follows them even if subscribe was awaited", async () => {
    const route = async (session: Session): Promise<void> => {
      await session.subscribe("news");
      sendTwo(session);
    };
    expect(await comeBack(route)).toBe(CURSOR + MISSED + SENT);
    const authorize = async (): Promise<boolean> => true;
    expect(await comeBack(route, { authorize })).toBe(CURSOR + MISSED + SENT);
  });

  it("follows the reset of a stream that cannot resume", async () => {
    expect(await comeBack(subscribeAndSend, { lastEventId: "~old" })).toBe(RESET + SENT);
  });

  it("follows the state that comes after a reset in the same turn", async () => {
    const route = (session: Session): void => {
      void session.subscribe("news", { snapshot: () => [{ data: "state" }] });
      sendTwo(session);
    };
    const reset = RESET.replace("<new>", "");
    const cursor = CURSOR.replace("<id>", "<new>").replace("retry: 4321\n", "");
    expect(await comeBack(route, { lastEventId: "~old" })).toBe(
      `${reset}data: state\n\n${cursor}${SENT}`,
    );
  });

  it("follows them while CORS holds back the head", async () => {
    const cors: HubOptions["cors"] = {
      origin: (_origin, done) => void setTimeout(() => done(null, true), 20),
    };
    expect(await comeBack(subscribeAndSend, { cors })).toBe(CURSOR + MISSED + SENT);
  });

  it("waits for calls of its turn that `authorize` has not decided yet", async () => {
    const authorize: HubOptions["authorize"] = (channel) =>
      channel === "news" || new Promise((resolve) => void setTimeout(() => resolve(true), 30));
    const buffered: number[] = [];
    const text = await comeBack(
      (session) => {
        void session.subscribe("news");
        void session.subscribe("slow");
        sendTwo(session);
        buffered.push(session.bufferedBytes);
      },
      { authorize },
    );
    expect(text).toBe(`:\n\n${CURSOR}${MISSED}${SENT}`);
    expect(buffered).toEqual([SENT.length]);
  });

  it("comes before the end of a stream that is completed in that turn", async () => {
    const text = await comeBack((session) => {
      subscribeAndSend(session);
      void session.complete();
    });
    expect(text).toBe(`${CURSOR}${MISSED}${SENT}event: sse-complete\nid: <new>\ndata: {}\n\n`);
  });

  it("is sent if the stream ends before it has begun", async () => {
    const text = await comeBack((session) => {
      subscribeAndSend(session);
      session.close();
    });
    expect(text).toBe(`retry: 4321\n${SENT}`);
  });

  it("counts against maxBufferedBytes, beyond which the session closes with slow", async () => {
    const reasons: unknown[] = [];
    const sent: unknown[] = [];
    const hub = createHub({ maxBufferedBytes: 100 });
    const server = await listen(hub, (incoming, response) => {
      const session = hub.createSession({ request: incoming, response });
      session.onClose((reason) => reasons.push(reason));
      void session.subscribe("news");
      for (let i = 0; i < 20; i++) void session.send(`message ${i}`).then((ok) => sent.push(ok));
    });
    closers.push(() => server.close());
    const headers = { "last-event-id": "old" };
    await expect(
      request({ port: server.port, protocol: "http1" }, "/", { headers }),
    ).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(reasons).toEqual(["slow"]);
    await eventually("the promises", () => sent.length === 20);
    expect(new Set(sent)).toEqual(new Set([false]));
  });
});
