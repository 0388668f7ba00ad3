import { createHub } from "@tidewire/core";
import type { HubOptions, Log } from "@tidewire/core";
import type { LogEntry } from "@tidewire/core/log";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { createFollower } from "../delivery/follow.mjs";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A node in this process, and the errors it has reported. */
interface Node {
  readonly port: number;
  readonly errors: string[];
  publish(data: string): Promise<{ id: string }>;
}

async function serve(redis: RedisServer, key: string, options: HubOptions = {}): Promise<Node> {
  const errors: string[] = [];
  const hub = createHub({
    ...options,
    log: redisLog({ url: redis.url, key }),
    onError: (error) => void errors.push((error as Error).message),
  });
  const follower = createFollower(hub);
  const server = http.createServer((request, response) => {
    follower.follow(request, response, "news");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(async () => {
    await hub.close();
    server.closeAllConnections();
    server.close();
  });
  await eventually("the log", () => hub.stats().log.state === "live");
  const { port } = server.address() as AddressInfo;
  return { port, errors, publish: (data) => hub.publish("news", { data }) };
}

async function connect({ port }: Node, lastEventId = ""): Promise<EventClient> {
  const client = new EventClient(port, "/");
  client.lastEventId = lastEventId;
  client.connect();
  closers.push(async () => client.cut("rst"));
  if (lastEventId === "") await eventually("a position", () => client.lastEventId !== "");
  return client;
}

function dataOf({ events }: EventClient): string[] {
  return events.map(({ data }) => data);
}

/** Fields of entries that cannot be sent to clients, and the report for each. */
const UNSENDABLE: readonly (readonly [what: string, fields: readonly string[], report: RegExp])[] =
  [
    [
      "a reserved event type",
      ["c", "news", "e", "sse-complete", "d", "x"],
      /"sse-complete".*reserved/,
    ],
    ["another one", ["c", "news", "e", "sse-", "d", "x"], /"sse-".*reserved/],
    ["more than maxEventBytes", ["c", "news", "d", "z".repeat(1_100_000)], /maxEventBytes/],
    ["a line break in the event type", ["c", "news", "e", "a\nid: 7", "d", "x"], /line break/],
    ["no event type", ["c", "news", "e", "", "d", "x"], /`event`/],
    ["a reconnection time that is not a number", ["c", "news", "d", "x", "r", "soon"], /`retry`/],
    ["a reconnection time that is too long", ["c", "news", "d", "x", "r", "9999999999"], /`retry`/],
    ["a fraction as reconnection time", ["c", "news", "d", "x", "r", "0x10"], /`retry`/],
    ["an empty channel", ["c", "", "d", "x"], /channel/],
    ["a channel that is too long", ["c", "c".repeat(257), "d", "x"], /channel/],
  ];

describeWithRedis("Entries of other programs", () => {
  const server = useRedis("suite");
  let keys = 0;

  it("are withheld if they cannot be sent to clients, live or from the past, and are reported once each", async () => {
    const [redis, key] = [await server(), `foreign-${keys++}`];
    const node = await serve(redis, key);
    const live = await connect(node);
    const { id } = await node.publish("before");
    const added: string[] = [];
    for (const [, fields] of UNSENDABLE) {
      added.push(String(await redis.command("XADD", key, "*", ...fields)));
    }
    await node.publish("after");
    await eventually("the end", () => dataOf(live).includes("after"));
    expect(dataOf(live)).toEqual(["before", "after"]);
    expect(node.errors).toHaveLength(UNSENDABLE.length);
    for (const [index, [what, , report]] of UNSENDABLE.entries()) {
      expect(node.errors[index], what).toMatch(report);
    }
    const fresh = await serve(redis, key);
    for (const one of [node, fresh]) {
      const back = await connect(one, id);
      await eventually("what it has missed", () => back.events.length > 0);
      expect(dataOf(back)).toEqual(["after"]);
      expect(back.resets).toEqual([]);
      // They are valid positions: a node that accepts larger events may have sent them to clients.
      const other = await connect(one, `${added[2]}~`);
      await eventually("what it has missed", () => other.events.length > 0);
      expect([dataOf(other), other.resets]).toEqual([["after"], []]);
    }
    expect(fresh.errors).toEqual([]);
  });

  it("do not flood onError", async () => {
    const [redis, key] = [await server(), `foreign-${keys++}`];
    const node = await serve(redis, key);
    const live = await connect(node);
    for (let n = 0; n < 200; n++) {
      await redis.command("XADD", key, "*", "c", "news", "e", "sse-x", "d", String(n));
    }
    await node.publish("end");
    await eventually("the end", () => live.events.length === 1);
    expect(node.errors).toHaveLength(10);
  });

  it.each([
    ["microseconds", () => `${Date.now()}000-0`],
    ["20 digits", () => "18446744073709551000-18446744073709551000"],
  ])("may have ids of %s: later ids work just the same", async (_, makeId) => {
    const [redis, key] = [await server(), `foreign-${keys++}`];
    const node = await serve(redis, key);
    const live = await connect(node);
    await node.publish("before");
    await redis.command("XADD", key, makeId(), "c", "news", "s", "1", "d", "unusual");
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push((await node.publish(String(n))).id);
    await eventually("all", () => live.events.length === 5);
    expect(dataOf(live)).toEqual(["before", "unusual", "0", "1", "2"]);
    const fresh = await serve(redis, key);
    for (const one of [node, fresh]) {
      for (const [index, id] of [live.events[1]?.id as string, ...ids.slice(0, 2)].entries()) {
        const back = await connect(one, id);
        await eventually("what it has missed", () => back.events.length === 3 - index);
        expect(dataOf(back)).toEqual(["0", "1", "2"].slice(index));
        expect(back.resets).toEqual([]);
      }
    }
    expect([...node.errors, ...fresh.errors]).toEqual([]);
  });

  it("on channels that begin with ~ move the position and reach no client", async () => {
    const [redis, key] = [await server(), `foreign-${keys++}`];
    const log = redisLog({ url: redis.url, key });
    closers.push(() => log.close());
    const seen: LogEntry[] = [];
    await log.start({
      entries: (entries) => {
        seen.push(...entries);
        return false;
      },
      reset: () => {},
      failed: () => {},
    });
    const id = await log.append("~control", { data: "x" });
    await eventually("the entry", () => seen.length === 1);
    expect(seen[0]).toMatchObject({ id, channel: "~control", data: "x" });
  });
});

describeWithRedis("Ids that clients report", () => {
  const server = useRedis("suite");

  async function open(redis: RedisServer, key: string): Promise<Log> {
    const log = redisLog({ url: redis.url, key });
    closers.push(() => log.close());
    await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
    return log;
  }

  it("are looked up many at once, with the result held, trimmed or unknown", async () => {
    const redis = await server();
    const publisher = createRedisPublisher({ url: redis.url, key: "ids" });
    closers.push(() => publisher.close());
    const ids: string[] = [];
    for (let n = 0; n < 10; n++) ids.push((await publisher.publish("a", { data: "x" })).id);
    await redis.command("XTRIM", "ids", "MINID", "=", ids[3]!.split("~")[0]!);
    const { past } = await open(redis, "ids");
    const held = { missedMs: expect.any(Number) };
    const [ms, counter] = ids[5]!.split("~")[0]!.split("-");
    const asked = [
      [ids[2], "trimmed"],
      [ids[3], held],
      [ids[9], { missedMs: 0 }],
      ["0-1~00000", "trimmed"],
      [`${ms}-${counter}~`, "unknown"],
      [`${ms}-${counter}~${ids[5]!.endsWith("00000") ? "00001" : "00000"}`, "unknown"],
      [`${ms}-${Number(counter) + 50_000}~00000`, "unknown"],
      ["18446744073709551615-18446744073709551615~00000", "unknown"],
      ["18446744073709551616-0~00000", "unknown"],
      ["no id", "unknown"],
      ["", "unknown"],
    ] as const;
    expect(await past!.find(asked.map(([id]) => id as string))).toEqual(asked.map(([, is]) => is));
    await redis.command("XDEL", "ids", ...ids.map((id) => id.split("~")[0]!));
    expect(new Set(await past!.find(ids))).toEqual(new Set(["trimmed"]));
  });

  it("cost no page when they are made up, or older than the hub retains", async () => {
    const redis = await server();
    const key = "made-up";
    const publisher = createRedisPublisher({ url: redis.url, key });
    closers.push(() => publisher.close());
    const data = "x".repeat(10_000);
    const first = (await publisher.publish("news", { data })).id;
    const published = await Promise.all(
      Array.from({ length: 3_000 }, () => publisher.publish("news", { data })),
    );
    const node = await serve(redis, key);
    const small = await serve(redis, key, { retention: { maxEvents: 100 } });
    const sent = async (): Promise<number> =>
      Number(
        /total_net_output_bytes:(\d+)/.exec(String(await redis.command("INFO", "stats")))?.[1],
      );
    // Reads of a starting node.
    await setTimeout(500);
    const start = await sent();
    const [ms] = first.split("-");
    const clients = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) =>
        n < 500
          ? connect(node, `${Number(ms)}-${n + 10_000}~00000`)
          : connect(small, published[n]?.id),
      ),
    );
    await eventually("their resets", () => clients.every(({ resets }) => resets.length === 1));
    const cost = (await sent()) - start;
    console.log(`500 made-up ids and 500 old ones: ${cost} bytes from Redis`);
    expect(cost).toBeLessThan(500_000);
  });
});
