import { setTimeout as delay } from "node:timers/promises";
import { createHub, isSseError } from "@tidewire/core";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { connect, eventually, request } from "../client.js";
import { EventClient } from "./event-client.js";
import { listen } from "./listen.js";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(
  handler: (session: Session) => unknown,
  options?: HubOptions,
): Promise<{ hub: Hub; port: number }> {
  const hub = createHub(options);
  const server = await listen(hub, (incoming, response) => {
    void handler(hub.createSession({ request: incoming, response }));
  });
  closers.push(() => server.close());
  return { hub, port: server.port };
}

it("the first of two calls decides what is replayed, however long its authorize takes", async () => {
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

it("a client that comes back after complete() gets 204 without a call of authorize", async () => {
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
])("a snapshot that returns %s is an error that says so", async (_name, snapshot) => {
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

it("events published before complete() are delivered before the end", async () => {
  const { hub, port } = await serve((session) => {
    void session.subscribe("job").then(async () => {
      for (let i = 0; i < 500; i++) await hub.publish("job", `${i} ${"x".repeat(2_000)}`);
      void session.complete();
    });
  });
  const client = new EventClient(port, "/");
  const numbers: number[] = [];
  let isComplete = false;
  client.onEvent = ({ event, data }) => {
    if (event === "sse-complete") isComplete = true;
    else numbers.push(Number.parseInt(data, 10));
  };
  client.connect();
  await eventually("the end", () => isComplete);
  expect(numbers).toEqual(Array.from({ length: 500 }, (_, i) => i));
  expect(client.lastEventId).toBe("~end");
});

it("a resuming client gets the events it missed on the channels of two calls of one turn", async () => {
  const { hub, port } = await serve((session) => {
    void session.subscribe("clock");
    void session.subscribe("news", { latest: 5 });
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.lastEventId !== "");
  await hub.publish("news", "1");
  await eventually("the first event", () => client.events.length === 1);
  client.cut("fin");
  for (let i = 2; i <= 8; i++) {
    await hub.publish("news", String(i));
    await hub.publish("clock", `tick ${i}`);
  }
  client.connect();
  await eventually("what it has missed", () => client.events.length === 15);
  const news = client.events.filter(({ data }) => !data.startsWith("tick"));
  expect(news.map(({ data }) => data)).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
});

it("events published before a send are delivered before it", async () => {
  const { hub, port } = await serve(async (session) => {
    await session.subscribe("job");
    await hub.publish("job", "published");
    await session.send("sent");
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("both", () => client.events.length === 2);
  expect(client.events.map(({ data }) => data)).toEqual(["published", "sent"]);
});

it("is refused with 403 whatever `open` options an earlier subscribe had", async () => {
  const { port } = await serve(
    (session) => {
      void session.subscribe("a", { open: { checkAccept: false } });
      void session.subscribe("b");
    },
    { authorize: async () => false },
  );
  const headers = { accept: "application/json" };
  const client = await request({ port, protocol: "http1" }, "/", { headers });
  expect(client.status).toBe(403);
  client.release();
});

it("ignores the `open` options of a cancelled subscribe", async () => {
  const { port } = await serve(
    (session) => {
      void session.subscribe("a", { open: { status: 201 } });
      session.unsubscribe("a");
      void session.subscribe("b", { open: { status: 202 } });
    },
    { authorize: async () => true },
  );
  const client = await request({ port, protocol: "http1" }, "/");
  expect(client.status).toBe(202);
  client.cut();
});

describe("a client without room when it subscribes", () => {
  /** A server with one place, taken by the first client. */
  async function serveFull(corsMs: number) {
    const asked: string[] = [];
    const holders: Session[] = [];
    const subscribed: boolean[] = [];
    const answers: ((isAllowed: boolean) => void)[] = [];
    const served = await serve(
      async (session) => {
        const { url } = session.request as { url: string };
        if (url === "/holder") {
          holders.push(session);
          await session.send("holder");
          return;
        }
        subscribed.push(await session.subscribe(url));
      },
      {
        maxSessions: 1,
        cors: { origin: (_origin, done) => void delay(corsMs).then(() => done(null, true)) },
        authorize: (channel) => {
          asked.push(channel);
          return new Promise((resolve) => void answers.push(resolve));
        },
      },
    );
    const headers = { accept: "text/event-stream", origin: "https://tide.example" };
    const target = { port: served.port, protocol: "http1" } as const;
    const holder = await request(target, "/holder", { headers });
    await holder.until("data: holder\n\n");
    return { ...served, target, headers, asked, holders, subscribed, answers };
  }

  it("is turned away without a call of authorize, even if there is room when CORS has answered", async () => {
    const { hub, target, headers, asked, holders, subscribed } = await serveFull(60);
    const answered = request(target, "/second", { headers });
    await delay(30);
    holders[0]?.close();
    const client = await answered;
    await client.until("\n\n");
    expect(hub.stats()).toMatchObject({ held: 1, turnedAway: 1, sessions: { open: 0 } });
    expect([client.text, asked, subscribed]).toEqual([":\n\n", [], [false]]);
    client.cut();
  });

  it("is authorized before it gets a stream if its response waits behind the one that has the place", async () => {
    const { hub, port, asked, holders, answers } = await serveFull(0);
    holders[0]?.close();
    await eventually("the place to be free", () => hub.sessionCount === 0);
    const head = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nHost: tide.example\r\nAccept: text/event-stream\r\n\r\n`;
    const socket = await connect(port);
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    socket.write(head("/holder"));
    await eventually("the first stream", () => text.includes("data: holder"));
    socket.write(head("/queued"));
    await eventually("the question", () => asked.length === 1);
    holders[1]?.close();
    await eventually("its end", () => text.endsWith("0\r\n\r\n"));
    await delay(50);
    answers[0]?.(false);
    await eventually("the second answer", () => text.match(/^HTTP/gm)?.length === 2);
    expect(text.match(/^HTTP.*$/gm)).toEqual(["HTTP/1.1 200 OK", "HTTP/1.1 403 Forbidden"]);
    socket.destroy();
  });
});
