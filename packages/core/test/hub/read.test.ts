import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createHub, memoryLog } from "../../src/index.js";
import type { ChannelMap, Hub, HubOptions, ReadItem, ReadOptions } from "../../src/index.js";
import type { Log, LogFollower } from "../../src/log/log.js";
import { thrownBy } from "../thrown.js";

type Item = ReadItem<ChannelMap, string>;

function makeHub(options: HubOptions = {}): Hub {
  return createHub(options);
}

/** Takes items until there are enough. */
async function take(reading: AsyncIterable<Item>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of reading) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

/** Whether a promise is still pending after a few turns of the event loop. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => false), wait(20).then(() => true)]);
}

function dataOf(items: readonly Item[]): unknown[] {
  return items.map((item) => (item.type === "event" ? item.data : item.reason));
}

describe("hub.read", () => {
  it("yields what was published, in order, from the call on", async () => {
    const hub = makeHub();
    void hub.publish("news", "before");
    const reading = hub.read("news");
    const { id } = await hub.publish("news", { event: "headline", data: { title: "a" } });
    void hub.publish("other", "not this");
    void hub.publish("news", "text");
    expect(await take(reading, 2)).toEqual([
      { type: "event", id, channel: "news", event: "headline", data: { title: "a" } },
      { type: "event", id: expect.any(String), channel: "news", event: "message", data: "text" },
    ]);
  });

  it("gives a string back as a string, and a value as a value, however alike they look", async () => {
    const hub = makeHub();
    const reading = hub.read("a");
    void hub.publish("a", { data: "1" });
    void hub.publish("a", { data: 1 });
    void hub.publish("a", { data: '{"b":1}' });
    void hub.publish("a", { data: { b: 1 } });
    void hub.publish("a", { data: "two\nlines\r\n and: more\n" });
    void hub.publish("a", { data: "" });
    void hub.publish("a", { data: null });
    expect(dataOf(await take(reading, 7))).toEqual([
      "1",
      1,
      '{"b":1}',
      { b: 1 },
      "two\nlines\n and: more\n",
      "",
      null,
    ]);
  });

  it("parses strings too where they are published through serialize", async () => {
    const hub = makeHub({ verbatimStrings: false });
    const reading = hub.read("a");
    void hub.publish("a", { data: "x" });
    expect(dataOf(await take(reading, 1))).toEqual(["x"]);
  });

  it("uses the deserialize option, and hands on the text of what it refuses", async () => {
    const errors: unknown[] = [];
    const hub = makeHub({
      serialize: String,
      deserialize: (text) => {
        if (text === "bad") throw new Error("no");
        return `<${text}>`;
      },
      onError: (error, { stage }) => errors.push(stage, error),
    });
    const reading = hub.read("a");
    void hub.publish("a", { data: { toString: () => "good" } });
    void hub.publish("a", { data: { toString: () => "bad" } });
    expect(dataOf(await take(reading, 2))).toEqual(["<good>", "bad"]);
    expect(errors).toEqual(["log", new Error("no")]);
  });

  it("continues after a position or an id, on all its channels", async () => {
    const hub = makeHub();
    const position = await hub.position();
    const { id } = await hub.publish("a", "1");
    void hub.publish("b", "2");
    void hub.publish("c", "3");
    void hub.publish("a", "4");
    expect(dataOf(await take(hub.read(["a", "b"], { after: position }), 3))).toEqual([
      "1",
      "2",
      "4",
    ]);
    expect(dataOf(await take(hub.read(["a", "b"], { after: id }), 2))).toEqual(["2", "4"]);
  });

  it("takes an empty position, which a client without one reports, for none", async () => {
    const hub = makeHub();
    void hub.publish("a", "1");
    const reading = hub.read("a", { after: "", latest: 1 });
    void hub.publish("a", "2");
    expect(dataOf(await take(reading, 2))).toEqual(["1", "2"]);
  });

  it("counts the loops under way", async () => {
    const hub = makeHub();
    const reading = hub.read("a");
    expect(hub.stats().readers).toBe(0);
    const next = reading.next();
    expect(hub.stats().readers).toBe(1);
    await reading.return?.();
    await next;
    expect(hub.stats().readers).toBe(0);
  });

  it("begins with the latest events of each channel", async () => {
    const hub = makeHub();
    for (const n of [1, 2, 3]) void hub.publish("a", String(n));
    void hub.publish("b", "4");
    const reading = hub.read(["a", "b"], { latest: 2 });
    void hub.publish("b", "5");
    expect(dataOf(await take(reading, 4))).toEqual(["2", "3", "4", "5"]);
  });

  it.each([
    ["any text", "nonsense"],
    ["the id of complete()", "~end"],
    ["a text that is too long", "a".repeat(5_000)],
    ["an id of another log", "e.1"],
  ])("answers %s as its position with one reset, and goes on behind it", async (_name, after) => {
    const hub = makeHub();
    void hub.publish("a", "1");
    const reading = hub.read(["a", "b"], { after });
    const [reset] = await take(
      { [Symbol.asyncIterator]: () => ({ next: () => reading.next() }) },
      1,
    );
    expect(reset).toEqual({
      type: "reset",
      reason: "unknown",
      channels: ["a", "b"],
      id: await hub.position(),
    });
    void hub.publish("b", "2");
    expect(dataOf(await take(reading, 1))).toEqual(["2"]);
  });

  it("tells a reader that was too slow, once, and gives it everything after that", async () => {
    const hub = makeHub({ retention: { maxEvents: 10 } });
    const reading = hub.read("a");
    void hub.publish("a", "first");
    expect(dataOf(await take({ [Symbol.asyncIterator]: () => reading }, 1))).toEqual(["first"]);
    const slow = hub.read("a");
    const next = slow.next();
    void hub.publish("a", "0");
    expect((await next).value).toMatchObject({ data: "0" });
    for (let n = 1; n <= 100; n++) void hub.publish("a", String(n));
    expect((await slow.next()).value).toMatchObject({ type: "reset", reason: "overflow" });
    void hub.publish("a", "101");
    expect((await slow.next()).value).toMatchObject({ data: "101" });
  });

  it("loses nothing to events of other channels that push its own out of the window", async () => {
    const hub = makeHub({ retention: { maxEvents: 10 } });
    const reading = hub.read("a");
    for (let n = 1; n <= 100; n++) void hub.publish("b", String(n));
    void hub.publish("a", "mine");
    expect(dataOf(await take(reading, 1))).toEqual(["mine"]);
  });

  it("keeps its position valid while its channels are quiet and others are busy", async () => {
    const hub = makeHub({ retention: { maxEvents: 10 } });
    const reading = hub.read("a");
    const first = reading.next();
    void hub.publish("a", "1");
    await first;
    const last = reading.next();
    for (let n = 1; n <= 100; n++) void hub.publish("b", String(n));
    await wait(5);
    void hub.publish("a", "2");
    await last;
    expect(reading.position).toBe(await hub.position());
  });

  it("moves its position on while it waits and only other channels are busy, and keeps it at the end", async () => {
    const hub = makeHub({ retention: { maxEvents: 10 } });
    const reading = hub.read("a");
    const next = reading.next();
    for (let n = 1; n <= 100; n++) void hub.publish("b", String(n));
    await wait(5);
    const position = await hub.position();
    expect(reading.position).toBe(position);
    await reading.return?.();
    await next;
    void hub.publish("b", "101");
    expect(reading.position).toBe(position);
  });

  it("has no position beyond a `latest` event that it has not returned", async () => {
    const hub = makeHub();
    const ids: string[] = [];
    // More than it takes from the window at once.
    for (let n = 1; n <= 4; n++) {
      ids.push((await hub.publish("a", `${n} ${"x".repeat(30_000)}`)).id);
    }
    const reading = hub.read("a", { latest: 4 });
    expect(reading.position).toBeUndefined();
    for (const id of ids) {
      await reading.next();
      expect(reading.position).toBe(id);
    }
  });

  it("has no position beyond an event that is on its way when the loop ends", async () => {
    const hub = makeHub();
    const reading = hub.read("a");
    const before = reading.position;
    void hub.publish("a", "1");
    void reading.next();
    await reading.return?.();
    expect(reading.position).toBe(before);
    expect(dataOf(await take(hub.read("a", { after: reading.position }), 1))).toEqual(["1"]);
  });

  it("keeps its position when the loop ends before its first item, if there was no event for `latest`", async () => {
    const inner = memoryLog();
    let follower: LogFollower | undefined;
    const log: Log = {
      start: (given) => inner.start((follower = given)),
      append: (channel, message) => inner.append(channel, message),
      compare: (a, b) => inner.compare(a, b),
      health: () => inner.health(),
      close: () => inner.close(),
    };
    const hub = makeHub({ log });
    const reading = hub.read("a", { latest: 2 });
    void reading.next();
    await wait(1);
    const before = reading.position;
    expect(before).toBe(await hub.position());
    // The next item is on its way.
    follower?.reset("trimmed", before ?? "");
    await reading.return?.();
    expect(reading.position).toBe(before);
  });

  it("has the position it was given until it is looked up", async () => {
    const hub = makeHub();
    expect(hub.read("a", { after: "any" }).position).toBe("any");
    expect(hub.read("a").position).toBe(await hub.position());
  });

  it("answers calls of next that do not wait for each other in order", async () => {
    const hub = makeHub();
    const reading = hub.read("a");
    const items = Promise.all([reading.next(), reading.next(), reading.next()]);
    for (const n of [1, 2, 3]) void hub.publish("a", String(n));
    expect((await items).map(({ value }) => (value as { data: unknown }).data)).toEqual([
      "1",
      "2",
      "3",
    ]);
  });

  it("ends at once on return, also for the call of next that is waiting", async () => {
    const hub = makeHub();
    const reading = hub.read("a");
    const next = reading.next();
    expect(await isPending(next)).toBe(true);
    expect(hub.channel("a").subscriptionCount).toBe(1);
    await reading.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(hub.channel("a").subscriptionCount).toBe(0);
    void hub.publish("a", "1");
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  it("ends without an error when the signal aborts, before or during the loop", async () => {
    const hub = makeHub();
    const controller = new AbortController();
    const items = take(hub.read("a", { signal: controller.signal }), 5);
    void hub.publish("a", "1");
    await wait(5);
    controller.abort(new Error("gone"));
    expect(dataOf(await items)).toEqual(["1"]);
    expect(await take(hub.read("a", { signal: controller.signal }), 1)).toEqual([]);
    expect(hub.channel("a").subscriptionCount).toBe(0);
  });

  // Node warns of more than ten listeners on a signal, and a warning fails a test.
  it("ends many readers by one signal, and no others", async () => {
    const hub = makeHub();
    const controller = new AbortController();
    const { signal } = controller;
    const loops = Array.from({ length: 30 }, () => take(hub.read("a", { signal }), 5));
    const other = take(hub.read("a"), 1);
    await wait(5);
    controller.abort();
    expect(await Promise.all(loops)).toEqual(loops.map(() => []));
    void hub.publish("a", "1");
    expect(dataOf(await other)).toEqual(["1"]);
  });

  it("gives what was published before the hub closed, and then ends", async () => {
    const hub = makeHub();
    const waiting = take(hub.read("a"), 5);
    const idle = hub.read("a");
    void hub.publish("a", "1");
    await hub.close();
    expect(dataOf(await waiting)).toEqual(["1"]);
    expect(dataOf(await take(idle, 5))).toEqual(["1"]);
    expect(await take(hub.read("a"), 1)).toEqual([]);
    expect(thrownBy(() => hub.read(""))).toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
    await expect(hub.position()).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
  });

  it("registers nothing for a reading that is never iterated", async () => {
    const hub = makeHub();
    hub.read("a");
    await wait(0);
    expect(hub.channel("a").subscriptionCount).toBe(0);
  });

  it("lets timers and I/O run while it reads a long past", async () => {
    const hub = makeHub();
    const position = await hub.position();
    for (let n = 0; n < 20_000; n++) void hub.publish("a", "x".repeat(100));
    let turns = 0;
    const count = (): void => {
      turns += 1;
      setImmediate(count).unref();
    };
    count();
    await take(hub.read("a", { after: position }), 20_000);
    expect(turns).toBeGreaterThan(20);
  });

  it.each([
    [["a"], { after: 5 }, "Expected `after` to be a string, got 5"],
    [["a"], { latest: -1 }, "Expected `latest` to be a whole number >= 0, got -1"],
    [["a"], { signal: {} }, "Expected `signal` to be an AbortSignal, got an object"],
    [["a"], { since: "x" }, "Unknown option `since`."],
    [[], {}, "Expected a channel, got an empty array"],
    ["~a", {}, 'Expected a channel not to begin with "~"'],
  ])("refuses %j with %j", (channels, options, message) => {
    const hub = makeHub();
    expect(thrownBy(() => hub.read(channels as string, options as ReadOptions))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: expect.stringContaining(message),
    });
  });
});
