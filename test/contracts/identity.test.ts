/** The identity of clients, and how their sessions end when their rights do, on every framework. */

import type { HubOptions, Session } from "@tidewire/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Handler, Served } from "./bindings.js";

const running: Served[] = [];
const clients: StreamClient[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const client of clients.splice(0)) client.cut();
  for (const served of running.splice(0)) await within("the server to close", served.close());
});

/** The client's claim, for servers that believe it: the header `x-user`. */
function userOf(incoming: unknown): string | undefined {
  const user = (incoming as { headers: Record<string, unknown> }).headers["x-user"];
  return typeof user === "string" ? user : undefined;
}

/** A client of a user; without one, an anonymous client. */
async function open(
  served: Served,
  user?: string,
  { lastEventId, path = "/" }: { lastEventId?: string | undefined; path?: string } = {},
): Promise<StreamClient> {
  const headers = {
    accept: "text/event-stream",
    ...(user === undefined ? {} : { "x-user": user }),
    ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
  };
  const client = await request(served, path, { headers });
  clients.push(client);
  return client;
}

/** Joins the channels that the path names: `/a,b`; without any, `news`. */
const subscribe: Handler = async ({ sse, request: { url } }) => {
  const names = (url ?? "/").slice(1).split(",");
  await sse.subscribe(names[0] === "" ? ["news"] : names);
};

describe.each(BINDINGS)("Identity on $name", (binding) => {
  async function serve(options: HubOptions, handler: Handler = subscribe): Promise<Served> {
    const served = await binding.serve(handler, options);
    running.push(served);
    return served;
  }

  async function subscribed(
    served: Served,
    user?: string,
    options?: { path?: string; lastEventId?: string },
  ): Promise<StreamClient> {
    const client = await open(served, user, options);
    await client.until("sse-cursor");
    return client;
  }

  it("is asked for once, with the framework's request, before authorize", async () => {
    const calls: string[] = [];
    const seen: Session[] = [];
    const served = await serve(
      {
        identify: (incoming) => {
          calls.push("identify");
          return userOf(incoming);
        },
        authorize: (channel, { identity, id }) => {
          calls.push(`${identity} ${channel} ${id.length}`);
          return true;
        },
      },
      async ({ sse }) => {
        seen.push(sse);
        expect(sse.openedAt).toBeUndefined();
        await sse.subscribe(["a", "b"]);
      },
    );
    const before = Date.now();
    await subscribed(served, "ada");
    await subscribed(served);
    expect(calls).toEqual([
      "identify",
      "ada a 22",
      "ada b 22",
      "identify",
      "undefined a 22",
      "undefined b 22",
    ]);
    expect(seen.map(({ identity }) => identity)).toEqual(["ada", undefined]);
    expect(seen[0]?.id).toBe(seen[0]?.id);
    expect(seen[0]?.id).not.toBe(seen[1]?.id);
    expect(seen[0]?.openedAt).toBeGreaterThanOrEqual(before);
    expect(seen[0]?.openedAt).toBeLessThanOrEqual(Date.now());
  });

  it("finds the open sessions of an identity and of a channel", async () => {
    const served = await serve({ identify: userOf });
    await subscribed(served, "ada");
    await subscribed(served, "ada", { path: "/orders,news" });
    const third = await subscribed(served, "bob", { path: "/orders" });
    await subscribed(served);
    const found = (...[filter]: Parameters<typeof served.hub.sessions>): unknown[] =>
      served.hub.sessions(filter).map(({ identity }) => identity);
    expect(found()).toHaveLength(4);
    expect(new Set(found())).toEqual(new Set(["ada", "bob", undefined]));
    expect(found({ identity: "ada" })).toEqual(["ada", "ada"]);
    expect(found({ channel: "orders" })).toEqual(["ada", "bob"]);
    expect(found({ identity: "ada", channel: "orders" })).toEqual(["ada"]);
    expect(found({ identity: "eve" })).toEqual([]);
    third.cut();
    await eventually("bob to be gone", () => found({ identity: "bob" }).length === 0);
  });

  it("that `identify` fails to return is an error of the request", async () => {
    const onError = vi.fn<NonNullable<HubOptions["onError"]>>();
    const fault = new Error("no session store");
    const served = await serve({
      onError,
      identify: () => {
        throw fault;
      },
    });
    const client = await open(served, "ada");
    expect(client.status).toBe(500);
    expect(onError.mock.calls).toEqual([[fault, { stage: "identify" }]]);
  });

  it("that has expired is answered 401", async () => {
    const served = await serve({ identify: () => ({ id: "ada", expiresAt: Date.now() - 1 }) });
    const client = await open(served);
    expect(client.status).toBe(401);
  });

  it("that expires before CORS allows the stream is answered 401", async () => {
    const served = await serve({
      identify: () => ({ id: "ada", expiresAt: Date.now() + 50 }),
      cors: { origin: (_origin, allow) => void setTimeout(() => allow(null, true), 100) },
    });
    const headers = { accept: "text/event-stream", origin: "https://app.example" };
    const client = await request(served, "/", { headers });
    clients.push(client);
    expect(client.status).toBe(401);
    expect(served.hub.stats().opened).toBe(0);
  });

  it("ends the stream when it expires, within a second", async () => {
    const reasons: unknown[] = [];
    const expiresAt = Date.now() + 1_500;
    const served = await serve(
      { identify: () => ({ id: "ada", expiresAt: new Date(expiresAt) }) },
      async ({ sse }) => {
        sse.onClose((reason) => reasons.push(reason));
        await sse.subscribe("news");
      },
    );
    const client = await subscribed(served);
    await client.rest();
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
    expect(Date.now()).toBeLessThan(expiresAt + 1_000);
    expect(reasons).toEqual(["expired"]);
  });

  it("has at most `max` sessions; one more is held without a session", async () => {
    const served = await serve({
      identify: userOf,
      maxSessionsPerIdentity: { max: 2 },
    });
    const first = await subscribed(served, "ada");
    await subscribed(served, "ada");
    await subscribed(served, "bob");
    const third = await open(served, "ada");
    await third.until("\n\n");
    expect(third.text).toBe(":\n\n");
    expect(served.hub.stats()).toMatchObject({ held: 1, turnedAway: 1 });
    first.cut();
    await eventually(
      "ada to have one",
      () => served.hub.sessions({ identity: "ada" }).length === 1,
    );
    await subscribed(served, "ada");
  });

  it.each(["refuse", "closeOldest"] as const)(
    "has no more than `max` sessions when many requests arrive at the same time: %s",
    async (excess) => {
      const most = { ada: 0, bob: 0 };
      const served = await serve(
        {
          identify: userOf,
          // Answers of different turns, so that many streams are about to open at the same time.
          authorize: () => new Promise((resolve) => void setTimeout(resolve, 5, true)),
          maxSessionsPerIdentity: { max: 3, excess },
        },
        async ({ sse }) => {
          await sse.subscribe("news");
          for (const user of ["ada", "bob"] as const) {
            const { length } = served.hub.sessions({ identity: user });
            most[user] = Math.max(most[user], length);
          }
        },
      );
      const users = Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? "ada" : "bob"));
      await Promise.all(users.map((user) => open(served, user)));
      expect(most).toEqual({ ada: 3, bob: 3 });
      expect(served.hub.stats().sessions.open).toBe(6);
      const { closes, held } = served.hub.stats();
      expect([closes.replaced, held]).toEqual(excess === "refuse" ? [0, 54] : [54, 0]);
    },
  );

  it("with closeOldest ends the oldest one for good", async () => {
    const served = await serve({
      identify: userOf,
      maxSessionsPerIdentity: { max: 2, excess: "closeOldest" },
    });
    const first = await subscribed(served, "ada");
    const other = await subscribed(served, "bob");
    const second = await subscribed(served, "ada");
    const third = await subscribed(served, "ada");
    const text = await first.rest();
    expect(text.endsWith("event: sse-complete\nid: ~end\ndata: {}\n\n")).toBe(true);
    await served.hub.publish("news", "hello");
    for (const client of [other, second, third]) await client.until("data: hello");
    expect(served.hub.stats().closes.replaced).toBe(1);
  });

  it("is disconnected: the stream ends, and nothing is written any more", async () => {
    const reasons: string[] = [];
    const served = await serve({ identify: userOf }, async ({ sse }) => {
      sse.onClose((reason) => reasons.push(`${sse.identity} ${reason}`));
      await sse.subscribe("news");
    });
    const first = await subscribed(served, "ada");
    const second = await subscribed(served, "ada");
    const other = await subscribed(served, "bob");
    void served.hub.publish("news", "too late");
    await served.hub.disconnect({ identity: "ada" });
    expect(await first.rest()).not.toContain("too late");
    expect(await second.rest()).not.toContain("too late");
    await other.until("too late");
    expect(reasons).toEqual(["ada revoked", "ada revoked"]);
    // It may come back.
    await subscribed(served, "ada");
  });

  it("is disconnected from a channel: its other streams stay", async () => {
    const served = await serve({ identify: userOf });
    const both = await subscribed(served, "ada", { path: "/orders,news" });
    const news = await subscribed(served, "ada");
    await served.hub.disconnect({ identity: "ada", channel: "orders" });
    await both.rest();
    await served.hub.publish("news", "hello");
    await news.until("hello");
  });

  it("is disconnected for good: 204 for a position from before, a stream for a new client", async () => {
    const served = await serve({ identify: userOf });
    const client = await subscribed(served, "ada");
    const { id: before } = await served.hub.publish("news", "one");
    await client.until("data: one");
    await served.hub.disconnect({ identity: "ada", final: true });
    expect((await client.rest()).endsWith("event: sse-complete\nid: ~end\ndata: {}\n\n")).toBe(
      true,
    );
    const { id: after } = await served.hub.publish("news", "two");

    const again = await open(served, "ada", { lastEventId: before });
    expect(again.status).toBe(204);
    await (await open(served, "bob", { lastEventId: before })).until("data: two");
    await subscribed(served, "ada", { lastEventId: after });
    await subscribed(served, "ada");
  });

  it("is disconnected for good from one channel only", async () => {
    const served = await serve({ identify: userOf });
    const { id: before } = await served.hub.publish("news", "one");
    await served.hub.disconnect({ identity: "ada", channel: "orders", final: true });
    const barred = await open(served, "ada", { lastEventId: before, path: "/news,orders" });
    expect(barred.status).toBe(204);
    await subscribed(served, "ada", { lastEventId: before });
  });

  it("is checked again, and gets nothing more once it fails", async () => {
    const allowed = new Set(["ada", "bob"]);
    const reasons: string[] = [];
    const served = await serve(
      {
        identify: userOf,
        revalidate: { everyMs: 1_000, check: async ({ identity = "" }) => allowed.has(identity) },
      },
      async ({ sse }) => {
        sse.onClose((reason) => reasons.push(`${sse.identity} ${reason}`));
        await sse.subscribe("news");
      },
    );
    const ada = await subscribed(served, "ada");
    const bob = await subscribed(served, "bob");
    allowed.delete("ada");
    const start = performance.now();
    await ada.rest();
    expect(performance.now() - start).toBeLessThan(1_500);
    expect(reasons).toEqual(["ada revoked"]);
    await new Promise((resolve) => {
      setTimeout(resolve, 1_200);
    });
    await served.hub.publish("news", "hello");
    await bob.until("hello");
  });

  it("is disconnected while its client does not read: what waits for the socket is dropped", async () => {
    const served = await serve({ identify: userOf });
    const headers = { accept: "text/event-stream", "x-user": "ada" };
    const client = await request(served, "/", { headers, paused: true });
    clients.push(client);
    const data = "x".repeat(900_000);
    for (let count = 0; count < 20; count++) await served.hub.publish("news", data);
    await eventually("the stream to be behind", () => served.hub.stats().sessions.behind === 1);
    await served.hub.disconnect({ identity: "ada" });
    client.drop();
    await client.ended;
    expect(client.receivedBytes).toBeLessThan(20 * 900_000);
    expect(client.isBroken).toBe(true);
  });

  it("is disconnected for good right after a message: its client gets both, and does not come back", async () => {
    const served = await serve({ identify: userOf }, ({ sse }) => void sse.open());
    const client = await open(served, "ada");
    await eventually("the stream to open", () => served.hub.sessionCount === 1);
    for (const session of served.hub.sessions({ identity: "ada" })) await session.send("bye");
    await served.hub.disconnect({ identity: "ada", final: true });
    expect(await client.rest()).toMatch(/data: bye\n\nevent: sse-complete\n/);
    expect(client.isBroken).toBe(false);
  });

  it("is disconnected while authorize decides: the client gets an empty stream", async () => {
    let allow = (): void => {};
    let asked = (): void => {};
    const wasAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const served = await serve({
      identify: userOf,
      authorize: () =>
        new Promise((resolve) => {
          allow = () => resolve(true);
          asked();
        }),
    });
    const opening = open(served, "ada");
    await wasAsked;
    await served.hub.disconnect({ identity: "ada" });
    allow();
    await served.hub.publish("news", "hello");
    const client = await opening;
    expect(client.status).toBe(200);
    const text = await client.rest();
    expect(text).not.toContain("data");
  });

  it("is disconnected before the route subscribes", async () => {
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const subscribedTo: boolean[] = [];
    const served = await serve({ identify: userOf }, async ({ sse }) => {
      expect(sse.identity).toBe("ada");
      await served.hub.disconnect({ identity: "ada", final: true });
      go();
      subscribedTo.push(await sse.subscribe("news"));
    });
    const client = await open(served, "ada");
    await gate;
    expect(client.status).toBe(204);
    await eventually("the route to end", () => subscribedTo.length === 1);
    expect(subscribedTo).toEqual([false]);
  });

  it("is disconnected for good before the route subscribes, even if it is disconnected again", async () => {
    const served = await serve({ identify: userOf }, async ({ sse }) => {
      await served.hub.disconnect({ identity: sse.identity ?? "", final: true });
      await served.hub.disconnect({ identity: sse.identity ?? "" });
      await sse.subscribe("news");
    });
    expect((await open(served, "ada")).status).toBe(204);
  });
});
