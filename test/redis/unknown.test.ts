import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import { expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { useCluster } from "./cluster.js";
import type { Load } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";
import { CHANNEL, readStream, verify } from "./witness.js";

/** The reply of Redis to `XADD`, or to a script that returns the id of an entry. */
const ENTRY_ID = /\$\d+\r\n\d+-\d+/;

/** One event, with its data as the `dedupeKey` if it has one. */
const one = (data: string, dedupe: boolean = false): Load => ({
  channels: [CHANNEL],
  // The number is part of the data.
  from: 0,
  count: 1,
  perSecond: 1_000,
  prefix: data,
  dedupe,
});

describeWithRedis("The outcome of a publish", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  it("is unknown if its reply is lost, and the event is there once", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const [node, other] = await Promise.all([
      cluster.node({ url: proxy.url }),
      cluster.node({ url: server.url }),
    ]);
    const witnesses = await Promise.all([cluster.witness(node), cluster.witness(other)]);
    const outcomes = await node.publish(one("before "));

    const cut = proxy.cutReplyTo("XADD", ENTRY_ID);
    const lost = await node.publish(one("lost "));
    await within("the reply to be lost", cut);
    expect(lost).toMatchObject([{ code: "ERR_SSE_LOG_UNKNOWN" }]);
    outcomes.push(...lost, ...(await node.publish(one("after "))));

    expect((await readStream(server)).map(({ data }) => data)).toEqual([
      "before 0",
      "lost 0",
      "after 0",
    ]);
    const tally = await verify(server, [outcomes], witnesses);
    expect(tally).toMatchObject({ published: 2, rejected: 0, unknown: 1, unknownButThere: 1 });
    console.log(`lost reply: told within ${tally.slowestMs} ms`);
    // The outcome is known when the connection is cut. The next publish waits for a new connection. Neither takes as
    // long as a reply may.
    expect(tally.slowestMs).toBeLessThan(2_000);
    // The reading connection is a different one.
    expect((await node.stats()).log).toMatchObject({ state: "live", reconnects: 0 });
  });

  it("can be retried with a `dedupeKey`: it gets the id of the existing event", async () => {
    const server = await redis();
    const proxy = await cluster.proxy(server);
    const [node, other] = await Promise.all([
      cluster.node({ url: proxy.url }),
      cluster.node({ url: server.url }),
    ]);
    const witnesses = await Promise.all([cluster.witness(node), cluster.witness(other)]);

    const cut = proxy.cutReplyTo("XADD", ENTRY_ID);
    const lost = await node.publish(one("order ", true));
    await within("the reply to be lost", cut);
    expect(lost).toMatchObject([{ code: "ERR_SSE_LOG_UNKNOWN" }]);
    const there = await readStream(server);
    expect(there).toHaveLength(1);

    const again = await node.publish(one("order ", true));
    // From another process too: a process that takes over a job does not know whether the event was published.
    const elsewhere = await other.publish(one("order ", true));
    expect([again[0]?.id, elsewhere[0]?.id]).toEqual([there[0]?.id, there[0]?.id]);
    expect(await readStream(server)).toEqual(there);

    // This event arrives after any possible duplicates.
    await node.publish(one("last "));
    const stream = await readStream(server);
    expect(stream).toHaveLength(2);
    for (const witness of witnesses) {
      await eventually("the last event", () => witness.received.includes("last 0"));
      expect(witness.events.map(({ id, data }) => ({ id, data }))).toEqual(stream);
    }
  });

  it.each([
    ["has too few replicas", "min-replicas-to-write", "1", "0"],
    ["has no memory left", "maxmemory", "1", "0"],
  ])("is rejected while Redis %s, and works afterwards", async (_, setting, refusing, taking) => {
    const server = await redis();
    const node = await cluster.node({ url: server.url });
    const witness = await cluster.witness(node);
    const outcomes = await node.publish(one("before "));

    await server.command("CONFIG", "SET", setting, refusing);
    const refused = [
      ...(await node.publish(one("refused "))),
      ...(await node.publish(one("order ", true))),
    ];
    expect(refused.map(({ code }) => code)).toEqual([
      "ERR_SSE_LOG_REJECTED",
      "ERR_SSE_LOG_REJECTED",
    ]);
    expect(Math.max(...refused.map(({ ms }) => ms))).toBeLessThan(1_000);
    expect(await readStream(server)).toHaveLength(1);
    // It refuses writes, not reads.
    expect(await node.stats()).toMatchObject({ log: { state: "live", reconnects: 0 }, errors: [] });

    await server.command("CONFIG", "SET", setting, taking);
    // The key of a refused publish is free.
    outcomes.push(...(await node.publish(one("order ", true))), ...(await node.publish(one("a "))));
    const tally = await verify(server, [outcomes], [witness]);
    expect(tally).toMatchObject({ published: 3, rejected: 0, unknown: 0 });
  });

  it.each(["hset", "xadd"])(
    "is rejected if its user may not %s: the event is not added, and its key is free",
    async (command) => {
      const server = await redis();
      await server.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", `-${command}`);
      const url = server.url.replace("//", "//app:secret@");
      const publisher = createRedisPublisher({ url });
      const publish = (): Promise<unknown> =>
        publisher.publish(CHANNEL, { data: "order" }, { dedupeKey: "order" });
      await expect(publish()).rejects.toMatchObject({ code: "ERR_SSE_LOG_REJECTED" });
      expect(await readStream(server)).toEqual([]);

      await server.command("ACL", "SETUSER", "app", `+${command}`);
      const published = await publish();
      expect(await publish()).toEqual(published);
      expect(await readStream(server)).toMatchObject([published]);
      await publisher.close();
    },
  );

  it("is rejected while Redis has not started; streams open anyway, and get later events", async () => {
    const server = await redis();
    await server.kill();
    const node = await cluster.node({ url: server.url });
    const client = cluster.newcomer(node);
    await eventually("the stream to be open", () => client.isOpen);
    expect(client.statuses).toEqual(["HTTP/1.1 200 OK"]);
    const openedAt = performance.now();

    const refused = await node.publish({ ...one("early "), count: 5 });
    expect(refused.map(({ code }) => code)).toEqual(refused.map(() => "ERR_SSE_LOG_REJECTED"));
    expect(Math.max(...refused.map(({ ms }) => ms))).toBeLessThan(2_000);
    await node.until("it to say so", ({ log }) => log.state === "down" && log.lagMs > 0);
    await eventually("heartbeats", () => client.heartbeats.length >= 2);
    expect(client.cursors, "a place in a log that nobody has seen").toBe(0);

    await server.run();
    await node.until("the log to be live", ({ log }) => log.state === "live");
    const end = performance.now() + 10_000;
    const outcomes = [...refused];
    do {
      expect(performance.now(), "publishing works at last").toBeLessThan(end);
      outcomes.push(...(await node.publish({ ...one("late "), from: outcomes.length })));
    } while (outcomes.at(-1)?.id === undefined);
    const tally = await verify(server, [outcomes], [client]);
    expect(tally).toMatchObject({ published: 1, unknown: 0 });
    // Its stream opened before the log had a position, so events published in between may be lost.
    client.hasStayed(openedAt, performance.now(), [{ reason: "unknown", channels: [CHANNEL] }]);
    const { errors, log } = await node.stats();
    // It was never connected before, so it was not restored.
    expect(log.reconnects).toBe(0);
    expect(errors).toHaveLength(1);
  }, 30_000);
});

describeWithRedis("A publisher in a process without sessions", () => {
  const redis = useRedis("test");
  const cluster = useCluster();

  it("publishes to all nodes over one connection, and leaves nothing behind", async () => {
    const server = await redis();
    const nodes = await Promise.all([1, 2].map(() => cluster.node({ url: server.url })));
    const witnesses = await Promise.all(nodes.map((node) => cluster.witness(node)));
    // Ensures that both nodes have all their connections.
    for (const node of nodes) await node.publish(one("node "));
    // One publishes and one follows. The one that read back at start is closed.
    let before: string[];
    do before = [...(await connections(server)).keys()];
    while (before.length > 4);
    expect(before).toHaveLength(4);

    const publisher = createRedisPublisher({ url: server.url });
    const ids: string[] = [];
    for (let number = 0; number < 10; number++) {
      ids.push((await publisher.publish(CHANNEL, { data: `job ${number}` })).id);
    }
    const own = [...(await connections(server))].filter(([id]) => !before.includes(id));
    expect(own).toMatchObject([[expect.any(String), { cmd: "xadd", flags: "N" }]]);

    // All of these are in flight when it is closed.
    const pending = Array.from({ length: 200 }, (_, number) =>
      publisher.publish(CHANNEL, { data: `last ${number}` }),
    );
    await within("the publisher to close", publisher.close());
    ids.push(...(await Promise.all(pending)).map(({ id }) => id));
    await expect(publisher.publish(CHANNEL, { data: "late" })).rejects.toMatchObject({
      code: "ERR_SSE_CLOSED",
    });
    await expectConnections(server, before);

    for (const witness of witnesses) {
      await eventually("all that was published", () => witness.received.includes("last 199"));
      expect(witness.received.slice(2)).toEqual([
        ...Array.from({ length: 10 }, (_, number) => `job ${number}`),
        ...Array.from({ length: 200 }, (_, number) => `last ${number}`),
      ]);
      expect(witness.events.slice(2).map(({ id }) => id)).toEqual(ids);
    }
  });

  it("does not read, and connects to nothing before it publishes", async () => {
    const server = await redis();
    const publisher = createRedisPublisher({ url: server.url });
    await expectConnections(server, []);
    await publisher.publish(CHANNEL, { data: "a" });
    await publisher.publish(CHANNEL, { data: "b" }, { dedupeKey: "b" });
    expect((await connections(server)).size).toBe(1);
    const stats = String(await server.command("INFO", "commandstats"));
    // To drop old events it looks at the newest entry: XREVRANGE, in a script.
    expect(stats).toContain("cmdstat_xadd:calls=2");
    expect(stats).not.toMatch(/cmdstat_(xread|xrange|xinfo)/);
    await publisher.close();
    await expectConnections(server, []);
  });

  it("settles pending publishes when it is closed while Redis hangs", async () => {
    const server = await redis();
    const publisher = createRedisPublisher({ url: server.url, publishTimeoutMs: 500 });
    await publisher.publish(CHANNEL, { data: "before" });
    server.pause();
    const start = performance.now();
    const pending = [1, 2, 3].map((number) =>
      publisher
        .publish(CHANNEL, { data: `pending ${number}` })
        .catch((error: unknown) => (error as { code: string }).code),
    );
    await within("the publisher to close", publisher.close(), 1_500);
    const outcomes = await within("the publishes to settle", Promise.all(pending), 100);
    expect(outcomes).toEqual(outcomes.map(() => "ERR_SSE_LOG_UNKNOWN"));
    console.log(`publisher: closed after ${Math.round(performance.now() - start)} ms`);
    server.resume();
    await expectConnections(server, []);
  });
});

describeWithRedis("A log that is closed with little time", () => {
  const redis = useRedis("test");

  it("rejects publishes that Redis has not answered by then as unknown", async () => {
    const server = await redis();
    const log = redisLog({ url: server.url, publishTimeoutMs: 30_000 });
    await log.append(CHANNEL, { data: "before" });
    server.pause();
    const pending = log.append(CHANNEL, { data: "pending" });
    pending.catch(() => {});
    await setTimeout(50);
    const start = performance.now();
    await log.close(200);
    expect(performance.now() - start).toBeGreaterThan(150);
    // Long before the publish would have failed by itself.
    expect(performance.now() - start).toBeLessThan(5_000);
    await expect(pending).rejects.toMatchObject({ code: "ERR_SSE_LOG_UNKNOWN" });
    server.resume();
  });

  it("settles publishes that Redis answers in time", async () => {
    const server = await redis();
    const log = redisLog({ url: server.url });
    const pending = Array.from({ length: 100 }, (_, n) => log.append(CHANNEL, { data: String(n) }));
    await log.close(5_000);
    expect(new Set(await Promise.all(pending)).size).toBe(100);
  });

  it("rejects unsent events as not published, without waiting for an unreachable Redis", async () => {
    const server = await redis();
    await server.kill();
    const log = redisLog({ url: server.url });
    const pending = log.append(CHANNEL, { data: "pending" });
    pending.catch(() => {});
    const start = performance.now();
    await log.close(60_000);
    expect(performance.now() - start).toBeLessThan(10_000);
    await expect(pending).rejects.toMatchObject({ code: "ERR_SSE_LOG_REJECTED" });
  });
});

describeWithRedis("The process that has a log", () => {
  const redis = useRedis("test");

  /** Runs a program. @returns Its running time in milliseconds, and its output. */
  async function run(program: string): Promise<{ ms: number; output: string }> {
    const packages = ["core", "redis"].map((name) => import.meta.resolve(`@tidewire/${name}`));
    const child = spawn(process.execPath, [
      "--input-type=module",
      "--eval",
      `import { createHub } from "${packages[0]}"; import { createRedisPublisher, redisLog } from "${packages[1]}"; ${program}`,
    ]);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => (output += String(chunk)));
    }
    const start = performance.now();
    await within("the process to exit", once(child, "exit"));
    return { ms: performance.now() - start, output };
  }

  it("exits when it has nothing else to do, even if the log was never closed", async () => {
    const { url } = await redis();
    const hub = `const hub = createHub({ log: redisLog({ url: "${url}" }) });`;
    const published = `await hub.publish("a", "1"); await hub.publish("a", "2", { dedupeKey: "2" }); console.log("done");`;
    const publisher = `await createRedisPublisher({ url: "${url}" }).publish("a", "3"); console.log("done");`;
    const runs = [await run(hub), await run(hub + published), await run(publisher)];
    console.log(`exits after ${runs.map(({ ms }) => Math.round(ms)).join(", ")} ms`);
    expect(runs.map(({ output }) => output)).toEqual(["", "done\n", "done\n"]);
  }, 40_000);

  it("does not exit while a publish is pending", async () => {
    const server = await redis();
    server.pause();
    const { output } = await run(
      `createRedisPublisher({ url: "${server.url}", publishTimeoutMs: 500, onError() {} }).publish("a", "1").catch(({ code }) => console.log(code));`,
    );
    expect(output).toBe("ERR_SSE_LOG_REJECTED\n");
  }, 40_000);

  it("has one connection while its hub neither publishes nor has a subscriber", async () => {
    const server = await redis();
    const hub = createHub({ log: redisLog({ url: server.url }) });
    await eventually("the log", () => hub.stats().log.state === "live");
    await setTimeout(500);
    expect((await connections(server)).size).toBe(1);
    await hub.publish(CHANNEL, "1");
    expect((await connections(server)).size).toBe(2);
    await hub.close();
    await expectConnections(server, []);
  });
});

describeWithRedis("The memory of dedupe keys", () => {
  const redis = useRedis("test");

  it("survives Redis dropping keys that have a time to live", async () => {
    const server = await redis();
    const log = redisLog({ url: server.url });
    const id = await log.append("a", { data: "once" }, { dedupeKey: "k" });
    await server.command("SET", "other", "x", "EX", "1000");
    await server.command("CONFIG", "SET", "maxmemory-policy", "volatile-ttl");
    await server.command("CONFIG", "SET", "maxmemory", "1");
    await server.command("SET", "more", "x").catch(() => {});
    expect(await server.command("EXISTS", "other")).toBe(0);
    await server.command("CONFIG", "SET", "maxmemory", "0");
    expect(await log.append("a", { data: "once" }, { dedupeKey: "k" })).toBe(id);
    expect(await server.command("XLEN", "tidewire")).toBe(1);
    await log.close();
  });

  it("is separate for each key, even if keys are not text", async () => {
    const server = await redis();
    const log = redisLog({ url: server.url });
    const keys = [
      "a\ud83d",
      "a\ud83c",
      "a\udc00",
      "a\ufffd",
      '"a\\ud83d"',
      "a\\ud83d",
      "a",
      '"a"',
      " ",
      "\0",
    ];
    const append = (dedupeKey: string): Promise<string> =>
      log.append("a", { data: "x" }, { dedupeKey });
    const ids = await Promise.all(keys.map(append));
    expect(new Set(ids).size).toBe(keys.length);
    expect(await Promise.all(keys.map(append))).toEqual(ids);
    await log.close();
  });

  it("is forgotten after its window, to the millisecond, and dropped within two windows", async () => {
    const server = await redis();
    const log = redisLog({ url: server.url, dedupeWindowMs: 400 });
    const append = (dedupeKey: string): Promise<string> =>
      log.append("a", { data: "x" }, { dedupeKey });
    const msOf = (id: string): number => Number(id.slice(0, id.indexOf("-")));
    const first = await append("k");
    // Whatever else is published meanwhile, even if that replaces the earlier hash.
    let last = first;
    for (let n = 0; msOf(last) - msOf(first) < 380; n++) {
      last = await append(`other ${n}`);
      const again = await append("k");
      // Either the same event, or one from after the window.
      expect(again === first || msOf(again) - msOf(first) >= 400, again).toBe(true);
    }
    await setTimeout(100);
    const second = await append("k");
    expect(msOf(second) - msOf(first)).toBeGreaterThanOrEqual(400);
    expect(await append("k")).toBe(second);
    // Hashes of two windows, whatever was published.
    for (let n = 0; n < 300; n++) {
      await append(`many ${n}`);
      await setTimeout(5);
    }
    const marks = await Promise.all(
      ["{tidewire}:once", "{tidewire}:once:old"].map((key) => server.command("HLEN", key)),
    );
    expect(Number(marks[0]) + Number(marks[1])).toBeLessThan(200);
    expect(((await server.command("KEYS", "*")) as string[]).toSorted()).toEqual([
      "tidewire",
      "{tidewire}:once",
      "{tidewire}:once:old",
    ]);
    await log.close();
  });
});

/** @returns Redis' information about its connections by id, without the one that asks. */
async function connections(server: RedisServer): Promise<Map<string, Record<string, string>>> {
  const list = String(await server.command("CLIENT", "LIST"));
  const parsed = list
    .trim()
    .split("\n")
    .map((line) => Object.fromEntries(line.split(" ").map((field) => field.split("=", 2))))
    .map((fields) => fields as Record<string, string>);
  return new Map(
    parsed.filter(({ cmd }) => cmd !== "client|list").map((fields) => [fields["id"] ?? "", fields]),
  );
}

/** Redis notices a closed connection slightly later. */
async function expectConnections(server: RedisServer, ids: readonly string[]): Promise<void> {
  const end = performance.now() + 2_000;
  let now: string[];
  do {
    now = [...(await connections(server)).keys()];
  } while (now.length !== ids.length && performance.now() < end);
  expect(now.toSorted()).toEqual(ids.toSorted());
}
