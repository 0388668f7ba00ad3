import { createHub } from "@tidewire/core";
import type { Hub, Log } from "@tidewire/core";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import type { RedisClientSource } from "@tidewire/redis";
import { createClient } from "redis";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { LIBRARIES, LIBRARIES_WITH_SENTINEL, makeClient } from "./clients.mjs";
import { RedisProxy } from "./proxy.js";
import { useRedisCluster } from "./redis-cluster.js";
import { useRedisSentinel } from "./redis-sentinel.js";
import { RedisServer, describeWithRedis, freePort, useRedis } from "./redis-server.js";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A started log and the data it has received. */
interface Followed {
  readonly log: Log;
  readonly received: string[];
  readonly resets: string[];
}

async function follow(client: RedisClientSource, key: string): Promise<Followed> {
  const received: string[] = [];
  const resets: string[] = [];
  const log = redisLog({ client, key });
  closers.push(() => log.close());
  await log.start({
    entries: (entries) => {
      for (const { data } of entries) received.push(data);
      return true;
    },
    reset: (reason) => void resets.push(reason),
    failed: () => {},
  });
  return { log, received, resets };
}

/** All three connections work: one publishes, also with a `dedupeKey`, one follows and one reads back. */
async function expectToWork({ log, received }: Followed, name: string): Promise<void> {
  const [first, second, again] = [
    await log.append("news", { data: JSON.stringify(`${name} 1`) }),
    await log.append("news", { data: JSON.stringify(`${name} 2`) }, { dedupeKey: name }),
    await log.append("news", { data: JSON.stringify(`${name} 3`) }, { dedupeKey: name }),
  ];
  expect(again).toBe(second);
  const expected = [`${name} 1`, `${name} 2`].map((data) => JSON.stringify(data));
  await eventually("the events", () => received.length >= 2);
  expect(received.slice(-2)).toEqual(expected);
  const page = await log.past?.read(first, second);
  expect(page).toMatchObject({ entries: [{ id: second, data: expected[1] }] });
  expect(log.health()).toMatchObject({ state: "live", lagMs: 0 });
}

describeWithRedis("A client instead of an address", () => {
  const redis = useRedis("suite");

  it.each(LIBRARIES)("leads to its server, and is not used itself: %s", async (library) => {
    const server = await redis();
    const client = makeClient(library, server);
    const followed = await follow(client, library);
    await expectToWork(followed, library);
    expect(client).toMatchObject("isOpen" in client ? { isOpen: false } : { status: "wait" });
  });

  it.each(LIBRARIES)("never sends an event twice: %s", async (library) => {
    const server = await redis();
    const proxy = await RedisProxy.start(server.port);
    closers.push(() => proxy.close());
    const { log, received } = await follow(
      makeClient(library, { url: proxy.url }),
      `once ${library}`,
    );
    const cut = proxy.cutReplyTo("XADD", /\d+-\d+/);
    const publish = log.append("news", { data: '"first"' });
    await expect(publish).rejects.toMatchObject({ code: "ERR_SSE_LOG_UNKNOWN" });
    await cut;
    await log.append("news", { data: '"second"' });
    await eventually("the second event", () => received.includes('"second"'));
    expect(received).toEqual(['"first"', '"second"']);
    // Includes an entry that is not an event, with which the log began.
    expect(await server.command("XLEN", `once ${library}`)).toBe(3);
  });

  it.each(LIBRARIES)("does not end the process when it is lost: %s", async (library) => {
    const server = await redis();
    const proxy = await RedisProxy.start(server.port);
    closers.push(() => proxy.close());
    const place = { url: proxy.url };
    // The application uses it too, without listening for errors.
    const client = makeClient(library, place) as unknown as Used;
    const failed: unknown[] = [];
    const hub = createHub({
      log: redisLog({ client, key: `lost ${library}` }),
      onError: (error) => failed.push(error),
    });
    closers.push(() => hub.close());
    const isIo = library.startsWith("io");
    // Some libraries print errors without a listener, which would clutter the output here.
    if (isIo) client.on("error", () => {});
    closers.push(() =>
      isIo ? client.disconnect?.() : (client.destroy ?? client.disconnect)?.call(client),
    );
    await client.connect();
    await hub.publish("news", "before");
    proxy.shut();
    await expect(hub.publish("news", "meanwhile")).rejects.toThrow(/Redis/);
    await eventually("the loss", () => failed.length > 0);
    proxy.open();
    await publishAgain(hub);
  });
});

describeWithRedis("A client that leads nowhere", () => {
  it.each(LIBRARIES)("makes publishing fail, but nothing else: %s", async (library) => {
    // Ports without a server: for one server, Sentinel and a cluster.
    const [port, other] = [await freePort(), await freePort()];
    const password = "secret";
    const clients = [
      makeClient(library, { url: `redis://127.0.0.1:${port}` }),
      makeClient(library, { nodes: [port, other], password }),
    ];
    if (library !== "node-redis 4") {
      const client = makeClient(library, { name: "m", sentinels: [port, other], password });
      clients.push(client);
      if (library === "node-redis 5") closers.push(() => (client as unknown as Used).destroy?.());
    }
    const publishes = clients.map((client) => {
      const publisher = createRedisPublisher({ client, onError: () => {} });
      closers.push(() => publisher.close());
      return publisher.publish("news", "lost");
    });
    for (const publish of publishes) {
      await expect(publish).rejects.toMatchObject({ code: "ERR_SSE_LOG_REJECTED" });
    }
  });
});

/** The parts of a client that an application uses. */
interface Used {
  connect(): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  sendCommand(...args: never[]): unknown;
  destroy?(): void;
  disconnect?(): unknown;
}

/** Publishes until it works. */
async function publishAgain(hub: Pick<Hub, "publish">): Promise<void> {
  await succeeds(() => hub.publish("news", "again"));
}

/** Repeats an action until it succeeds. */
async function succeeds(attempt: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    }
  }
}

describeWithRedis("A publisher", () => {
  const redis = useRedis("suite");

  it("says whether it can publish: not yet, live, down, live again, closed", async () => {
    const server = await redis();
    const proxy = await RedisProxy.start(server.port);
    closers.push(() => proxy.close());
    const publisher = createRedisPublisher({ url: proxy.url, onError: () => {} });
    closers.push(() => publisher.close());
    expect(publisher.health).toEqual({ state: "connecting", lagMs: 0, reconnects: 0 });
    await publisher.publish("news", "first");
    expect(publisher.health).toEqual({ state: "live", lagMs: 0, reconnects: 0 });
    proxy.shut();
    await eventually("the loss", () => publisher.health.state === "down");
    expect(publisher.health).toMatchObject({ lagMs: 0, reconnects: 0 });
    expect(publisher.health.lastError).toBeInstanceOf(Error);
    proxy.open();
    await publishAgain(publisher);
    expect(publisher.health).toMatchObject({ state: "live", lagMs: 0, reconnects: 1 });
    await publisher.close();
    expect(publisher.health.state).toBe("closed");
  });
});

describeWithRedis("A server that has become a replica", () => {
  const redis = useRedis("suite");

  it("refuses pending publishes, and its successor is looked up", async () => {
    const former = await redis();
    const successor = await RedisServer.start();
    closers.push(() => successor.stop());
    let server = former;
    const followed = await follow(() => createClient({ url: server.url }), "moved");
    const { log, received } = followed;
    await log.append("news", { data: "before" });
    await eventually("the first event", () => received.length === 1);
    server = successor;
    await former.command("REPLICAOF", "127.0.0.1", String(successor.port));
    const publishes = ["refused", "too"].map((data) => log.append("news", { data }));
    for (const publish of publishes) {
      await expect(publish).rejects.toMatchObject({ code: "ERR_SSE_LOG_REJECTED" });
    }
    await succeeds(() => log.append("news", { data: "after" }));
    // From the successor, which has another history.
    expect(await successor.command("XLEN", "moved")).toBeGreaterThan(0);
    await eventually("the event", () => received.includes("after") || followed.resets.length > 0);
    expect(received).not.toContain("refused");
  });
});

/** Publishes numbers, one every four milliseconds, until it is stopped. */
function publishSteadily(log: Log): { end(): Promise<{ accepted: string[]; errors: unknown[] }> } {
  const accepted: string[] = [];
  const errors: unknown[] = [];
  const pending: Promise<unknown>[] = [];
  let count = 0;
  const timer = setInterval(() => {
    const data = String(count++);
    pending.push(
      log.append("news", { data }).then(
        () => accepted.push(data),
        (error: unknown) => errors.push(error),
      ),
    );
  }, 4);
  return {
    end: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      return { accepted, errors };
    },
  };
}

/** Master and replica swap roles under load: no event is lost, duplicated or out of order. */
async function expectNothingLost(
  all: readonly Followed[],
  swap: () => Promise<void>,
): Promise<void> {
  const loads = all.map(({ log }) => publishSteadily(log));
  const haveMore = (than: readonly number[]) => (): boolean =>
    all.every(({ received }, index) => received.length > (than[index] ?? 0) + 20);
  await eventually("some events", haveMore([]));
  await swap();
  await eventually(
    "events of the new master",
    haveMore(all.map(({ received }) => received.length)),
  );
  const outcomes = await Promise.all(loads.map((load) => load.end()));
  for (const [index, { received, resets }] of all.entries()) {
    const { accepted = [], errors = [] } = outcomes[index] ?? {};
    await eventually("all events", () => received.length >= accepted.length);
    console.log(`${accepted.length} published, ${errors.length} not`);
    expect(resets).toEqual([]);
    expect(received.filter((data) => accepted.includes(data))).toEqual(accepted);
    expect(new Set(received).size).toBe(received.length);
  }
}

describeWithRedis("A cluster of three masters", () => {
  const cluster = useRedisCluster("tidewire");

  it.each(LIBRARIES)("has the whole log in one slot: %s", async (library) => {
    const { place } = await cluster();
    const followed = await follow(makeClient(library, place), library);
    await expectToWork(followed, library);
  });

  it("may give the slot to a replica, and nothing is lost", async () => {
    const redis = await cluster();
    const all = LIBRARIES.map((library) =>
      follow(makeClient(library, redis.place), `{tidewire} ${library}`),
    );
    await expectNothingLost(await Promise.all(all), () => redis.swap());
  });
});

describeWithRedis("A master that Sentinel watches", () => {
  const sentinel = useRedisSentinel();

  it.each(LIBRARIES_WITH_SENTINEL)("is found: %s", async (library) => {
    const { place } = await sentinel();
    const client = makeClient(library, place);
    // Version 5's client itself is used.
    if (library === "node-redis 5") closers.push(() => (client as unknown as Used).destroy?.());
    const followed = await follow(client, library);
    await expectToWork(followed, library);
  });

  it("is found while one sentinel does not answer", async () => {
    const redis = await sentinel();
    redis.pauseSentinel();
    const startedAt = performance.now();
    for (const library of LIBRARIES_WITH_SENTINEL.filter((name) => name !== "node-redis 5")) {
      const followed = await follow(makeClient(library, redis.place), `one less ${library}`);
      await expectToWork(followed, library);
    }
    expect(performance.now() - startedAt).toBeLessThan(8_000);
  });
});
