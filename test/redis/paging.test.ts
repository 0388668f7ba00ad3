import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub, HubOptions, Log } from "@tidewire/core";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import type { RedisLogOptions } from "@tidewire/redis";
import { createClient } from "redis";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { createFollower } from "../delivery/follow.mjs";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { isPage, Tap } from "./tap.js";

const MINUTE_MS = 60_000;

type StreamEntry = [id: string, fields: string[]];

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function tapOf(redis: RedisServer): Promise<Tap> {
  const tap = await Tap.start(redis.port);
  closers.push(() => tap.close());
  return tap;
}

/** A node in this process. The test provides the log. */
async function serve(
  log: RedisLogOptions,
  options: HubOptions = {},
): Promise<{ hub: Hub; port: number }> {
  const hub = createHub({ ...options, log: redisLog(log) });
  const follower = createFollower(hub);
  const node = http.createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "/", "http://node");
    follower.follow(request, response, searchParams.getAll("channel"), {
      latest: Number(searchParams.get("latest") ?? 0),
    });
  });
  await new Promise<void>((resolve) => {
    node.listen(0, "127.0.0.1", resolve);
  });
  closers.push(async () => {
    await hub.close();
    node.closeAllConnections();
    node.close();
  });
  return { hub, port: (node.address() as AddressInfo).port };
}

/** A client that returns with an id, or a new client. */
function connect(port: number, query: string, lastEventId: string = ""): EventClient {
  const client = new EventClient(port, `/?${query}`);
  client.lastEventId = lastEventId;
  client.connect();
  closers.push(async () => client.cut("rst"));
  return client;
}

function dataOf({ events }: EventClient): string[] {
  return events.map(({ data }) => data);
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

describeWithRedis("The past of a stream", () => {
  const server = useRedis("suite");
  let keys = 0;

  /** A separate stream for the test. */
  async function stream(): Promise<{ redis: RedisServer; key: string }> {
    return { redis: await server(), key: `past-${keys++}` };
  }

  /** Publishes, and returns the ids. */
  async function fill(
    redis: RedisServer,
    key: string,
    data: readonly string[],
    channel: string = "one",
    retention: RedisLogOptions["retention"] = {},
  ): Promise<string[]> {
    const publisher = createRedisPublisher({ url: redis.url, key, retention });
    const published = await Promise.all(
      data.map((text) => publisher.publish(channel, { data: text })),
    );
    await publisher.close();
    return published.map(({ id }) => id);
  }

  it("is replayed exactly by a node that has just started, from thousands of events back", async () => {
    const { redis, key } = await stream();
    const ids = await fill(redis, key, numbers(0, 6_000));
    const tap = await tapOf(redis);
    const { hub, port } = await serve({ url: tap.url, key });
    // All at once, in an order other than that of their positions.
    const positions = [4_000, 10, 5_998, 2_500, 0, 5_999];
    const clients = positions.map((position) => connect(port, "channel=one", ids[position]));
    await eventually("the tails", () =>
      clients.every(({ events }, index) => events.length === 5_999 - positions[index]!),
    );
    await hub.publish("one", { data: "6000" });
    await eventually("the live event", () =>
      clients.every(({ events }) => events.at(-1)?.data === "6000"),
    );
    for (const [index, client] of clients.entries()) {
      expect(dataOf(client)).toEqual(numbers(positions[index]! + 1, 6_001));
      expect(client.resets).toEqual([]);
    }
    // Read once for all of them, in pages.
    const { pages } = tap;
    const read = pages.reduce((sum, { entries }) => sum + entries, 0);
    console.log(
      `6 000 events for ${clients.length} clients: ${pages.length} pages, ${read} entries`,
    );
    expect(pages.length).toBeGreaterThan(4);
    expect(Math.max(...pages.map(({ entries }) => entries))).toBeLessThanOrEqual(1_001);
    expect(read).toBeLessThan(6_000 + 3 * pages.length + 1_001);
  });

  it("is read in small pages if events are large", async () => {
    const { redis, key } = await stream();
    const large = "x".repeat(300_000);
    const ids: string[] = [];
    for (let from = 0; from < 80; from += 10) {
      ids.push(
        ...(await fill(
          redis,
          key,
          numbers(from, from + 10).map((data) => `${data} ${large}`),
        )),
      );
    }
    const tap = await tapOf(redis);
    const { port } = await serve({ url: tap.url, key });
    const client = connect(port, "channel=one", ids[19]);
    await eventually("all of it", () => client.events.length === 60);
    expect(client.events.map(({ data }) => data.split(" ")[0])).toEqual(numbers(20, 80));
    expect(client.events.every(({ data }) => data.endsWith(` ${large}`))).toBe(true);
    expect(client.resets).toEqual([]);
    console.log(`large events: pages of ${tap.pages.map(({ entries }) => entries).join(" ")}`);
    expect(tap.pages.length).toBeGreaterThan(10);
    // The size of entries is unknown in advance: Redis limits each page, including the first.
    for (const { characters } of tap.pages) expect(characters).toBeLessThanOrEqual(2 ** 20);
    // Each entry was transferred only once.
    expect(tap.pages.reduce((sum, { entries }) => sum + entries, 0)).toBeLessThan(80);
  });

  it("may have entries of other programs: events if they have a channel and data, otherwise ignored", async () => {
    const { redis, key } = await stream();
    const ids = await fill(redis, key, ["before"]);
    const { hub, port } = await serve({ url: redis.url, key });
    const live = connect(port, "channel=one");
    await eventually("the stream", () => live.lastEventId !== "");
    // More than a few pages of them.
    const client = createClient({ url: redis.url });
    await client.connect();
    await Promise.all(
      numbers(0, 2_500).map((number) => client.sendCommand(["XADD", key, "*", "number", number])),
    );
    client.destroy();
    const foreign = String(await redis.command("XADD", key, "*", "c", "one", "d", "foreign"));
    await redis.command("XADD", key, "*", "c", "one");
    await redis.command("XADD", key, "*", "d", "of no channel");
    await redis.command("XADD", key, "*", "t", "!bad!", "c", "one", "d", "marked", "e", "price");
    await eventually("both", () => live.events.length === 2);
    await hub.publish("one", { data: "after" });
    await eventually("the end", () => live.events.length === 3);
    expect(
      live.events.map(({ id, event, data }) => [id?.split("~")[1]?.length, event, data]),
    ).toEqual([
      [0, undefined, "foreign"],
      [0, "price", "marked"],
      [5, undefined, "after"],
    ]);
    expect(live.events[0]?.id).toBe(`${foreign}~`);

    const fresh = await serve({ url: redis.url, key });
    const resumed = connect(fresh.port, "channel=one", ids[0]);
    // The id of another program's entry is a valid position.
    const fromForeign = connect(fresh.port, "channel=one", `${foreign}~`);
    await eventually("what both have missed", () => fromForeign.events.length === 2);
    await eventually("what was missed", () => resumed.events.length === 3);
    expect(dataOf(resumed)).toEqual(["foreign", "marked", "after"]);
    expect(dataOf(fromForeign)).toEqual(["marked", "after"]);
    expect([...resumed.resets, ...fromForeign.resets]).toEqual([]);
  });

  it("serves `latest` on a node that has just started", async () => {
    const { redis, key } = await stream();
    const data = numbers(0, 300);
    for (const number of data) {
      await fill(redis, key, [number], Number(number) % 3 === 0 ? "one" : "two");
    }
    const { port } = await serve({ url: redis.url, key });
    // The very first of its clients, with nothing in memory.
    const client = connect(port, "channel=one&latest=5");
    await eventually("the latest", () => client.lastEventId !== "");
    const other = connect(port, "channel=one&channel=two&latest=4");
    await eventually("the latest of both", () => other.lastEventId !== "");
    expect(dataOf(client)).toEqual(["285", "288", "291", "294", "297"]);
    expect(dataOf(other)).toEqual(["288", "291", "294", "295", "296", "297", "298", "299"]);
  });

  it("serves `latest` of a quiet channel behind a busy one", async () => {
    const { redis, key } = await stream();
    await fill(redis, key, numbers(0, 3), "quiet");
    await fill(redis, key, numbers(0, 500), "busy");
    const { port } = await serve({ url: redis.url, key });
    const client = connect(port, "channel=quiet&latest=3");
    await eventually("the latest", () => client.lastEventId !== "");
    expect(dataOf(client)).toEqual(numbers(0, 3));
  });

  it("serves `latest` of a channel that was quiet for the whole retention, and reads back once for all clients", async () => {
    const { redis, key } = await stream();
    await fill(redis, key, numbers(0, 3), "quiet");
    await fill(redis, key, numbers(0, 8_000), "busy");
    const tap = await tapOf(redis);
    const { port, hub } = await serve({ url: tap.url, key });
    const ask = async (): Promise<void> => {
      const clients = Array.from({ length: 10 }, () =>
        connect(port, "channel=quiet&channel=empty&latest=5"),
      );
      for (const client of clients) {
        await eventually("the latest", () => client.lastEventId !== "");
        expect(dataOf(client)).toEqual(numbers(0, 3));
      }
    };
    await ask();
    const { events } = hub.stats().window;
    expect(events).toBe(8_003);
    const read = tap.pages.reduce((sum, { entries }) => sum + entries, 0);
    // Each entry was read once, except for those that anchor the pages.
    expect(read).toBeLessThan(events + 2 * tap.pages.length);
    const { length } = tap.pages;
    await ask();
    expect(tap.pages.length).toBe(length);
  });

  it("serves `latest` within the hub's own retention, whatever Redis still has", async () => {
    const { redis, key } = await stream();
    await fill(redis, key, numbers(0, 50), "quiet");
    await fill(redis, key, numbers(0, 3_000), "busy");
    const { port } = await serve({ url: redis.url, key }, { retention: { maxEvents: 3_010 } });
    const client = connect(port, "channel=quiet&latest=50");
    await eventually("the latest", () => client.lastEventId !== "");
    expect(dataOf(client)).toEqual(numbers(40, 50));
  });

  it("begins after one round trip: the first client does not wait for more", async () => {
    const { redis, key } = await stream();
    const ids = await fill(redis, key, ["x".repeat(500_000)]);
    for (const [from, newest] of [
      [key, ids[0]],
      [`${key}-empty`, expect.any(String) as string],
    ]) {
      const tap = await tapOf(redis);
      const commands: string[] = [];
      tap.before = (args) => void commands.push(args[0] as string);
      const log = redisLog({ url: tap.url, key: from });
      closers.push(() => log.close());
      const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
      expect(commands).toEqual(["EVAL"]);
      expect(tail).toEqual(newest);
    }
  });

  it("arrives in pages as large as before after Redis was unreachable for a while", async () => {
    const { redis, key } = await stream();
    const ids = await fill(redis, key, Array<string>(10).fill("x".repeat(20_000)));
    let failures = 0;
    const log = redisLog({
      key,
      client: () => {
        failures -= 1;
        if (failures >= 0) throw new Error("Redis is not there");
        return createClient({ url: redis.url });
      },
    });
    closers.push(() => log.close());
    const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
    failures = 3;
    expect(await log.past!.read(ids[0], tail)).toMatchObject({ isLast: true });
    expect(failures).toBe(-1);
  });

  it("is not read any more when no client waits for it, even while Redis cannot be reached", async () => {
    const { redis, key } = await stream();
    const ids = await fill(redis, key, numbers(0, 10));
    let isThere = true;
    let attempts = 0;
    const log = redisLog({
      key,
      client: () => {
        attempts += 1;
        if (!isThere) throw new Error("Redis is not there");
        return createClient({ url: redis.url });
      },
    });
    closers.push(() => log.close());
    const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
    isThere = false;
    let isWanted = true;
    const page = log.past!.read(ids[0], tail, { isWanted: () => isWanted });
    const found = log.past!.find([ids[0]!], { isWanted: () => isWanted });
    await eventually("some attempts", () => attempts > 3);
    isWanted = false;
    expect(await Promise.all([page, found])).toEqual([undefined, undefined]);
    // Nor does it make further attempts.
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
    const before = attempts;
    await new Promise((resolve) => {
      setTimeout(resolve, 1_000);
    });
    expect(attempts).toBe(before);
    isThere = true;
    expect(await log.past!.read(ids[0], tail)).toMatchObject({ isLast: true });
  });

  describe("that is trimmed while it is read", () => {
    /** A started log and its tail. */
    async function open(redis: RedisServer, key: string): Promise<{ log: Log; tail: string }> {
      const log = redisLog({ url: redis.url, key });
      closers.push(() => log.close());
      const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
      return { log, tail };
    }

    it("is trimmed once the entry at the start of the next page is gone", async () => {
      const { redis, key } = await stream();
      const ids = await fill(redis, key, numbers(0, 3_000));
      const { log, tail } = await open(redis, key);
      const page = await log.past!.read(ids[10], tail);
      if (typeof page !== "object") throw new Error(page);
      expect(page.isLast).toBe(false);
      const first = page.entries[0]!;
      const at = ids.indexOf(first.id);
      expect(page.entries.map(({ id }) => id)).toEqual(ids.slice(at));
      // Everything read is gone, and so are all older entries.
      await redis.command("XTRIM", key, "MINID", "=", ids[at + 1]!.split("~")[0]!);
      expect(await log.past!.read(ids[10], first.id)).toBe("trimmed");
      expect(await log.past!.read(undefined, first.id)).toBe("trimmed");
    });

    it("is trimmed once the target place is gone, however many entries remain", async () => {
      const { redis, key } = await stream();
      const ids = await fill(redis, key, numbers(0, 3_000));
      const { log, tail } = await open(redis, key);
      const page = await log.past!.read(ids[10], tail);
      if (typeof page !== "object") throw new Error(page);
      const next = page.entries[0]!.id;
      // Drops the place and the one event after it: without an error there would be a gap of one event.
      await redis.command("XTRIM", key, "MINID", "=", ids[12]!.split("~")[0]!);
      expect(await log.past!.read(ids[10], next)).toBe("trimmed");
      expect(await log.past!.read(ids[11], next)).toBe("trimmed");
      // The oldest remaining entry is still valid.
      expect(typeof (await log.past!.read(ids[12], next))).toBe("object");
    });

    it("is unknown if another event has the id", async () => {
      const { redis, key } = await stream();
      const ids = await fill(redis, key, numbers(0, 10));
      const { log, tail } = await open(redis, key);
      const [streamId, tag] = ids[5]!.split("~") as [string, string];
      const other = `${streamId}~${tag === "00000" ? "00001" : "00000"}`;
      expect(await log.past!.read(other, tail)).toBe("unknown");
      expect(await log.past!.read(`${streamId}~`, tail)).toBe("unknown");
      expect(await log.past!.read("not an id", tail)).toBe("unknown");
      // The same for the newer place: the position that the caller holds is gone.
      expect(await log.past!.read(ids[2], other)).toBe("trimmed");
      expect(await log.past!.read(undefined, other)).toBe("trimmed");
    });

    it("gives the client a reset and then live events, without the events that were read", async () => {
      const { redis, key } = await stream();
      const ids = await fill(redis, key, numbers(0, 9_000));
      const tap = await tapOf(redis);
      const { hub, port } = await serve({ url: tap.url, key });
      // A client that waits for the log to start, which reads the first page.
      const first = connect(port, "channel=one");
      await eventually("the start", () => first.lastEventId !== "");
      // A starting node reads some pages by itself.
      await eventually("the pages of the start", () => hub.stats().window.events > 4_999);
      let pages = 0;
      let trimmedTo = -1;
      tap.before = async (args) => {
        if (!isPage(args) || ++pages !== 2) return;
        trimmedTo = 9_000 - tap.pages.reduce((sum, { entries }) => sum + entries, 0) + 100;
        await redis.command("XTRIM", key, "MINID", "=", ids[trimmedTo]!.split("~")[0]!);
      };
      const client = connect(port, "channel=one", ids[5]);
      await eventually("the reset", () => client.resets.length > 0);
      expect(trimmedTo).toBeGreaterThan(100);
      expect(client.events).toEqual([]);
      await hub.publish("one", { data: "live" });
      await eventually("what is live", () => client.events.length > 0 && first.events.length > 0);
      expect(client.resets).toEqual([{ reason: "trimmed", channels: ["one"] }]);
      expect(dataOf(client)).toEqual(["live"]);
      expect(dataOf(first)).toEqual(["live"]);
      expect(first.resets).toEqual([]);
    });
  });

  describe("that is too old", () => {
    /** Entries added by a Redis of ten minutes ago, so that the test does not have to wait until they are old. */
    async function fillOld(
      redis: RedisServer,
      key: string,
      data: readonly string[],
    ): Promise<void> {
      const client = createClient({ url: redis.url });
      await client.connect();
      const ms = Date.now() - 10 * MINUTE_MS;
      await Promise.all(
        data.map((text, index) =>
          client.sendCommand(["XADD", key, `${ms}-${index}`, "c", "one", "d", text]),
        ),
      );
      client.destroy();
    }

    it("is dropped by the next publish, except for the newest entry, where every reader stands", async () => {
      const { redis, key } = await stream();
      // Each is so large that Redis keeps it in its own group, and drops exactly the requested ones.
      const text = "x".repeat(5_000);
      await fillOld(
        redis,
        key,
        numbers(0, 20).map((number) => `${number} ${text}`),
      );
      const { hub, port } = await serve({ url: redis.url, key });
      const clients = [connect(port, "channel=one"), connect(port, "channel=one&channel=two")];
      await eventually("the streams", () => clients.every(({ lastEventId }) => lastEventId !== ""));
      const present = async (): Promise<string[]> =>
        ((await redis.command("XRANGE", key, "-", "+")) as StreamEntry[]).map(
          ([, fields]) => fields[fields.indexOf("d") + 1]!.split(" ")[0]!,
        );
      expect(await present()).toEqual(numbers(0, 20));
      await hub.publish("one", { data: "fresh" });
      expect(await present()).toEqual(["19", "fresh"]);
      await eventually("the event", () => clients.every(({ events }) => events.length === 1));
      // Another node, which has not dropped anything yet.
      await fill(redis, key, ["fresher"]);
      // The newest of the old entries may stay for a while, although readers do not need it any more.
      const left = await present();
      expect(left.slice(-2)).toEqual(["fresh", "fresher"]);
      expect(left.length).toBeLessThanOrEqual(3);
      await eventually("the next event", () => clients.every(({ events }) => events.length === 2));
      for (const client of clients) {
        expect(dataOf(client)).toEqual(["fresh", "fresher"]);
        expect(client.resets).toEqual([]);
      }
    });

    it("is dropped in groups if entries are small, which does not affect clients", async () => {
      const { redis, key } = await stream();
      await fillOld(redis, key, numbers(0, 1_000));
      const { port } = await serve({ url: redis.url, key });
      const client = connect(port, "channel=one");
      await eventually("the stream", () => client.lastEventId !== "");
      await fill(redis, key, ["fresh"]);
      await eventually("the event", () => client.events.length === 1);
      expect(Number(await redis.command("XLEN", key))).toBeLessThanOrEqual(101);
      expect(client.resets).toEqual([]);
    });

    it("is not dropped before its time", async () => {
      const { redis, key } = await stream();
      await fillOld(redis, key, numbers(0, 500));
      await fill(redis, key, ["fresh"], "one", { maxAgeMs: 11 * MINUTE_MS });
      expect(await redis.command("XLEN", key)).toBe(501);
    });
  });
});
