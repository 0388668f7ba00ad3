import { setTimeout } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient, seeded } from "../delivery/event-client.js";
import { ClusterNode } from "./node.js";
import { RedisProxy } from "./proxy.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));

describeWithRedis("A node that has just started", () => {
  const redis = useRedis("suite");
  const nodes: ClusterNode[] = [];
  const clients: EventClient[] = [];
  const proxies: RedisProxy[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.cut("rst");
    await Promise.all(nodes.splice(0).map((node) => node.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });

  /** Starts a node. */
  async function startNode(
    ...[log, hub]: Parameters<typeof ClusterNode.start>
  ): Promise<ClusterNode> {
    const node = await ClusterNode.start(log, hub);
    nodes.push(node);
    return node;
  }

  /** Creates a client that returns with a position. */
  function returning(
    { port }: ClusterNode,
    channels: readonly string[],
    lastEventId: string,
  ): EventClient {
    const query = channels.map((channel) => `channel=${channel}`).join("&");
    const client = new EventClient(port, `/?${query}`);
    client.lastEventId = lastEventId;
    clients.push(client);
    return client;
  }

  it(
    "gives 5 000 clients that return within a second the events each has missed, with at most 50 reads of the log",
    { timeout: 60_000 },
    async () => {
      console.log(`seed ${SEED}: run again with SEED=${SEED}`);
      const random = seeded(SEED);
      const server = await redis();
      const log = { url: server.url, key: "stampede" };
      const names = Array.from({ length: 100 }, (_, i) => `channel-${i}`);
      const before = await startNode(log);
      const past = await before.publish({
        channels: names,
        from: 0,
        count: 10_100,
        perSecond: 20_000,
        prefix: "",
      });

      const way = await RedisProxy.start(server.port);
      proxies.push(way);
      const reads = readsThrough(way);
      const node = await startNode({ ...log, url: way.url });
      // Each at its own place in the past, arriving in random order. The last hundred events are once on each channel,
      // so that every client has missed something.
      const returned = past
        .slice(0, 10_000)
        .filter((_, index) => index % 2 === 0)
        .map(({ id = "" }, index) => {
          const channels = Array.from(
            { length: 1 + (index % 3) },
            (_, n) => names[(index * 7 + n * 31) % names.length] as string,
          );
          return { after: index * 2, channels, client: returning(node, channels, id) };
        });
      const start = performance.now();
      const arrived = Promise.all(
        returned.map(async ({ client }) => {
          await setTimeout(random() * 1_000);
          client.connect();
        }),
      );
      // Meanwhile the window grows at its other end.
      const meanwhile = await before.publish({
        channels: names,
        from: 10_100,
        count: 200,
        perSecond: 100,
        prefix: "",
      });
      await arrived;
      // A duplicate of an earlier event would precede these.
      const last = await before.publish({
        channels: names,
        from: 10_300,
        count: names.length,
        perSecond: 1_000,
        prefix: "",
      });

      // One node has published everything in sequence, so the log has the same order.
      const published = [...past, ...meanwhile, ...last];
      expect(published.every(({ id }) => id !== undefined)).toBe(true);
      const expected = returned.map(({ after, channels }) =>
        published
          .slice(after + 1)
          .filter(({ channel }) => channels.includes(channel))
          .map(({ data }) => data),
      );
      const faults = (): string[] =>
        clients
          .flatMap(({ events }, i) => {
            const received = events.map(({ data }) => data).join();
            return received === expected[i]?.join()
              ? []
              : [`client ${i}: got ${received}, expected ${expected[i]?.join()}`];
          })
          .slice(0, 3);
      await eventually(
        () => `all clients to have what they missed: ${faults().join("; ")}`,
        () => clients.every(({ events }, i) => events.length >= (expected[i]?.length ?? 0)),
        20_000,
      );
      const tookMs = performance.now() - start;
      expect(faults()).toEqual([]);
      expect(clients.flatMap(({ resets }) => resets)).toEqual([]);
      expect(clients.every(({ connections }) => connections === 1)).toBe(true);

      const { replays, errors } = await node.stats();
      const received = clients.reduce((sum, { events }) => sum + events.length, 0);
      console.log(
        `${replays} replays from ${reads.pages} pages and ${reads.lookups} lookups; ${received} events received, all in ${tookMs.toFixed()} ms from the first connection on`,
      );
      expect(errors).toEqual([]);
      expect(replays).toBe(clients.length);
      // Zero would indicate a counting error.
      expect(reads.pages).toBeGreaterThan(0);
      expect(reads.pages + reads.lookups).toBeLessThanOrEqual(50);
    },
  );

  it(
    "resets thousands of clients that were away for too long with at most 50 reads, and no client delays another",
    { timeout: 60_000 },
    async () => {
      console.log(`seed ${SEED}: run again with SEED=${SEED}`);
      const random = seeded(SEED);
      const server = await redis();
      const log = { url: server.url, key: "trimmed" };
      const before = await startNode(log);
      const load = { channels: ["news"], count: 5_000, perSecond: 20_000, prefix: "" };
      const lost = await before.publish({ ...load, from: 0 });
      const kept = await before.publish({ ...load, from: load.count });
      await server.command("XTRIM", log.key, "MINID", kept[0]?.id?.split("~")[0] ?? "");

      const way = await RedisProxy.start(server.port);
      proxies.push(way);
      const reads = readsThrough(way);
      const node = await startNode({ ...log, url: way.url });
      // Something is missing after all of these positions: the last one directly precedes the kept entries.
      const late = lost.map(({ id = "" }) => returning(node, ["news"], id));
      await Promise.all(
        late.map(async (client) => {
          await setTimeout(random() * 1_000);
          client.connect();
        }),
      );
      const early = returning(node, ["news"], kept[0]?.id ?? "");
      early.connect();
      await eventually("what one has missed", () => early.events.length >= kept.length - 1);
      await eventually("the resets", () => late.every(({ resets }) => resets.length > 0), 20_000);
      await before.publish({ ...load, from: 2 * load.count, count: 1 });
      await eventually("all to be live", () =>
        clients.every(({ events }) => events.at(-1)?.data === String(2 * load.count)),
      );
      expect(late.every(({ resets }) => resets.length === 1)).toBe(true);
      expect(late.every(({ resets }) => resets[0]?.reason === "trimmed")).toBe(true);
      expect(late.every(({ events }) => events.length === 1)).toBe(true);
      expect(early.resets).toEqual([]);
      expect(early.events.length).toBe(kept.length);
      console.log(`${late.length} resets from ${reads.pages} pages and ${reads.lookups} lookups`);
      expect(reads.pages).toBeGreaterThan(0);
      expect(reads.pages + reads.lookups).toBeLessThanOrEqual(50);
    },
  );

  it("resets a client once that was away for longer than the hub retains, and replays to one that was not", async () => {
    const { url } = await redis();
    const log = { url, key: "retention" };
    const before = await startNode(log);
    const load = { channels: ["news"], perSecond: 10_000, prefix: "" };
    const past = await before.publish({ ...load, from: 0, count: 1_000 });
    const node = await startNode(log, { retention: { maxEvents: 200 } });

    const late = returning(node, ["news"], past[500]?.id ?? "");
    const early = returning(node, ["news"], past[900]?.id ?? "");
    late.connect();
    early.connect();
    await eventually("a reset", () => late.resets.length > 0);
    await eventually("the replay", () => early.events.length >= 99);
    await before.publish({ ...load, from: 1_000, count: 1 });
    await eventually("both to be live", () =>
      clients.every(({ events }) => events.at(-1)?.data === "1000"),
    );
    const dataAfter = (index: number): string[] => past.slice(index + 1).map(({ data }) => data);
    expect(late.events.map(({ data }) => data)).toEqual(["1000"]);
    expect(early.events.map(({ data }) => data)).toEqual([...dataAfter(900), "1000"]);

    // The reset has given it a valid position.
    late.cut("fin");
    await before.publish({ ...load, from: 1_001, count: 10 });
    late.connect();
    await eventually("what it missed", () => late.events.at(-1)?.data === "1010");
    expect(late.events.length).toBe(11);
    expect(late.resets).toEqual([{ reason: "trimmed", channels: ["news"] }]);
    expect(early.resets).toEqual([]);
  });
});

/** Counts later reads of the past through a proxy. */
function readsThrough(proxy: RedisProxy): { pages: number; lookups: number } {
  const reads = { pages: 0, lookups: 0 };
  proxy.onSent = (bytes) => {
    const text = bytes.toString("latin1");
    // One of each is in flight at a time.
    if (text.includes('collect("XREVRANGE"')) reads.pages += 1;
    if (text.includes("local found")) reads.lookups += 1;
  };
  return reads;
}
