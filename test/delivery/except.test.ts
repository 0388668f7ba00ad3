/** `publish(…, { except: session })`: every session gets the event except one, which loses nothing else. */

import { isSseError, memoryLog } from "@tidewire/core";
import type { Hub, Log, Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import type { StreamClient } from "../client.js";
import { gate, serve, turns } from "./served.js";

/** A hub with two streams on the channels `a` and `b`; `sessions` in the order of their paths. */
async function serveTwo(
  log?: Log,
): Promise<{ hub: Hub; port: number; sessions: Session[]; clients: StreamClient[] }> {
  const sessions: Session[] = [];
  const { hub, port } = await serve(
    ({ sse, request: { url } }) => {
      sessions[url === "/0" ? 0 : 1] = sse;
      void sse.subscribe(["a", "b"]);
    },
    { log, onError: () => {} },
  );
  const clients = [
    await request({ port, protocol: "http1" }, "/0"),
    await request({ port, protocol: "http1" }, "/1"),
  ];
  for (const client of clients) await client.until("sse-cursor");
  return { hub, port, sessions, clients };
}

/** Data of all application events. */
function dataOf(text: string): string[] {
  return [...text.matchAll(/^data: (\w+)$/gm)].map(([, data]) => data ?? "");
}

it("an event reaches every session except the excepted one, in order with all others", async () => {
  const { hub, sessions, clients } = await serveTwo();
  const [first] = sessions;
  void hub.publish("a", "before");
  void hub.publish("a", "mine", { except: first });
  void hub.channel("b").publish("other", { except: first });
  void hub.publish("b", "after");
  await turns();
  void hub.publish("a", "later");
  for (const client of clients) await client.until("later");
  expect(clients.map(({ text }) => dataOf(text))).toEqual([
    ["before", "after", "later"],
    ["before", "mine", "other", "after", "later"],
  ]);
  expect(hub.stats().sessions).toMatchObject({ live: 2, behind: 0 });
});

it("an excepted session gets earlier events at once, and `send` after them", async () => {
  const { hub, sessions, clients } = await serveTwo();
  void hub.publish("a", "before");
  void hub.publish("a", "mine", { except: sessions[0] });
  void sessions[0]?.send("sent");
  void hub.publish("a", "later");
  await clients[0]?.until("later");
  expect(dataOf(clients[0]?.text ?? "")).toEqual(["before", "sent", "later"]);
});

it("an excepted session that is behind skips the event when it reads on", async () => {
  const { hub, port, sessions } = await serveTwo();
  const slow = await request({ port, protocol: "http1" }, "/0", { paused: true });
  await eventually("the stream to open", () => hub.sessionCount === 3);
  const text = "x".repeat(500_000);
  while (hub.stats().sessions.behind === 0) {
    void hub.publish("b", text);
    await turns(1);
  }
  void hub.publish("a", "mine", { except: sessions[0] });
  void hub.publish("a", "later");
  slow.resume();
  expect(dataOf(await slow.until("data: later")).filter((data) => data !== text)).toEqual([
    "later",
  ]);
});

it("an excepted session loses nothing while the log is slow, or refuses", async () => {
  const inner = memoryLog();
  const taken = gate();
  let isRefused = false;
  const log: Log = {
    start: (follower) => inner.start(follower),
    append: async (channel, message) => {
      if (message.data !== "mine") return inner.append(channel, message);
      await taken.opened;
      if (isRefused) throw new Error("no log");
      return inner.append(channel, message);
    },
    compare: (a, b) => inner.compare(a, b),
    health: () => inner.health(),
    close: () => inner.close(),
  };
  const { hub, sessions, clients } = await serveTwo(log);
  const published = [0, 1].map(async () => hub.publish("a", "mine", { except: sessions[0] }));
  await hub.publish("a", "meanwhile");
  await clients[1]?.until("meanwhile");
  taken.open();
  await Promise.all(published);
  isRefused = true;
  await expect(hub.publish("a", "mine", { except: sessions[0] })).rejects.toThrow("no log");
  await hub.publish("a", "later");
  for (const client of clients) await client.until("later");
  expect(clients.map(({ text }) => dataOf(text))).toEqual([
    ["meanwhile", "later"],
    ["meanwhile", "mine", "mine", "later"],
  ]);
});

it("a client that comes back with an earlier id gets the event in its replay, like every other", async () => {
  const { hub, port, sessions, clients } = await serveTwo();
  const { id } = await hub.publish("a", "before");
  await clients[0]?.until("before");
  await hub.publish("a", "mine", { except: sessions[0] });
  clients[0]?.cut();
  const back = await request({ port, protocol: "http1" }, "/0", {
    headers: { "last-event-id": id },
  });
  await back.until("mine");
});

it("a session that has closed or has no channels is ignored, and a value that is not a session of the hub is refused", async () => {
  const { hub, sessions } = await serveTwo();
  const [session] = sessions;
  session?.close();
  await hub.publish("a", "x", { except: session });
  await hub.publish("a", "x", { except: undefined });
  const foreign = await serveTwo();
  for (const except of [foreign.sessions[1], {}, null, "session"]) {
    const publish = hub.publish.bind(hub) as (...args: unknown[]) => unknown;
    let error: unknown;
    try {
      publish("a", "x", { except });
    } catch (thrown) {
      error = thrown;
    }
    expect(isSseError(error) && error.code).toBe("ERR_SSE_INVALID_OPTION");
  }
});

it("complete() after an event that the session must not get still ends its stream", async () => {
  const { hub, sessions, clients } = await serveTwo();
  void hub.publish("a", "before");
  void hub.publish("a", "mine", { except: sessions[0] });
  void sessions[0]?.complete();
  expect(dataOf((await clients[0]?.rest()) ?? "")).toEqual(["before"]);
});

it("an event sent to the session itself follows everything published before it", async () => {
  const { hub, sessions, clients } = await serveTwo();
  const [first] = sessions;
  void hub.publish("a", "mine", { except: first });
  void hub.publish("a", "published");
  void first?.send("sent");
  first?.close();
  expect(dataOf((await clients[0]?.rest()) ?? "")).toEqual(["published", "sent"]);
});
