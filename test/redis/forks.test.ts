import http from "node:http";
import { setTimeout } from "node:timers/promises";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub, Publisher } from "@tidewire/core";
import { createRedisPublisher, redisLog } from "@tidewire/redis";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { createFollower } from "../delivery/follow.mjs";
import { RedisProxy } from "./proxy.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";

/** Time that a node has to reconnect to Redis, in milliseconds. */
const BACK_MS = 10_000;

type StreamEntry = [id: string, fields: string[]];

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A node in this process, whose connection to Redis can be shut. */
interface Node {
  readonly hub: Hub;
  readonly port: number;
  readonly way: RedisProxy;
}

/** A stream, nodes that follow it, and clients that record events. */
class Cluster {
  readonly redis: RedisServer;
  readonly key: string;
  readonly #publisher: Publisher;

  constructor(redis: RedisServer, key: string) {
    this.redis = redis;
    this.key = key;
    this.#publisher = createRedisPublisher({ url: redis.url, key });
    closers.push(() => this.#publisher.close());
  }

  /** @returns The event's id. */
  async publish(data: string, channel: string = "news"): Promise<string> {
    return (await this.#publisher.publish(channel, { data })).id ?? "";
  }

  /** A node whose clients follow the channel that their path names. */
  async node(maxEvents: number = 1_000): Promise<Node> {
    const way = await RedisProxy.start(this.redis.port);
    const log = redisLog({ url: way.url, key: this.key });
    const hub = createHub({ log, retention: { maxEvents }, onError: () => {} });
    const follower = createFollower(hub);
    const server = http.createServer((request, response) => {
      follower.follow(request, response, (request.url ?? "").slice(1));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    closers.push(async () => {
      await hub.close();
      server.closeAllConnections();
      server.close();
      await way.close();
    });
    await eventually("the node to be live", () => hub.stats().log.state === "live");
    return { hub, port: (server.address() as AddressInfo).port, way };
  }

  async entries(): Promise<StreamEntry[]> {
    return (await this.redis.command("XRANGE", this.key, "-", "+")) as StreamEntry[];
  }

  /** Marks of lost histories in the stream. */
  async marks(): Promise<StreamEntry[]> {
    return (await this.entries()).filter(([, fields]) => fields.includes("lost"));
  }

  /** Waits for a number of marks. */
  async hasMarks(count: number): Promise<void> {
    for (const end = performance.now() + BACK_MS; (await this.marks()).length !== count;) {
      if (performance.now() > end) throw new Error(`Waited ${BACK_MS} ms for ${count} marks`);
    }
  }

  /** Restores the history to an earlier copy, as after a failover to a replica that was behind. */
  async restore(copy: readonly StreamEntry[]): Promise<void> {
    const replay = copy.map(([id, fields]) => ["XADD", this.key, id, ...fields]);
    for (const command of [["DEL", this.key], ...replay]) await this.redis.command(...command);
  }
}

async function connect(
  { port }: Node,
  lastEventId: string = "",
  channel: string = "news",
): Promise<EventClient> {
  const client = new EventClient(port, `/${channel}`);
  client.lastEventId = lastEventId;
  client.connect();
  closers.push(async () => client.cut("rst"));
  if (lastEventId === "") await eventually("a position", () => client.lastEventId !== "");
  return client;
}

async function got(client: EventClient, data: string): Promise<void> {
  await eventually(data, () => client.events.at(-1)?.data === data);
}

function dataOf({ events }: EventClient): string[] {
  return events.map(({ data }) => data);
}

/** Events that a client returning with an id gets, up to an event that is published until it arrives. */
async function comesBack(
  cluster: Cluster,
  node: Node,
  id: string,
  data: string,
): Promise<{ resets: number; events: string[] }> {
  const client = await connect(node, id);
  // Events published while a client waits for its reset are part of its losses.
  for (const end = performance.now() + BACK_MS; !dataOf(client).includes(data);) {
    if (performance.now() > end) throw new Error(`Waited ${BACK_MS} ms for ${data}`);
    await cluster.publish(data);
    await setTimeout(20);
  }
  client.cut("rst");
  const events = dataOf(client);
  return { resets: client.resets.length, events: events.slice(0, events.indexOf(data) + 1) };
}

describeWithRedis("The mark of a lost history", () => {
  const server = useRedis("suite");
  let keys = 0;

  /** A history in which only node A has read `lost`; A is away. Node B is in the new history and unaware. */
  async function fork(): Promise<{ cluster: Cluster; a: Node; b: Node; before: string }> {
    const cluster = new Cluster(await server(), `fork-${keys++}`);
    const [a, b] = [await cluster.node(), await cluster.node()];
    const witness = await connect(a);
    await cluster.publish("common");
    await got(witness, "common");
    const before = witness.lastEventId;
    const copy = await cluster.entries();
    b.way.shut();
    await cluster.publish("lost");
    await got(witness, "lost");
    a.way.shut();
    witness.cut("rst");
    await cluster.restore(copy);
    b.way.open();
    await eventually("B", () => b.hub.stats().log.state === "live", BACK_MS);
    return { cluster, a, b, before };
  }

  async function marked({ cluster, a }: { cluster: Cluster; a: Node }): Promise<void> {
    a.way.open();
    await cluster.hasMarks(1);
    await eventually("A", () => a.hub.stats().log.state === "live");
  }

  it("resets clients with positions of the new history before it, on every node", async () => {
    const { cluster, a, b, before } = await fork();
    const [cut, live] = [await connect(b, before), await connect(b)];
    await cluster.publish("new");
    await Promise.all([got(cut, "new"), got(live, "new")]);
    const id = cut.lastEventId;
    cut.cut("rst");
    await marked({ cluster, a });
    await eventually("the reset of a live client", () => live.resets.length === 1);
    const c = await cluster.node();
    for (const [name, node] of Object.entries({ a, b, c })) {
      for (const position of [id, before]) {
        const { resets, events } = await comesBack(cluster, node, position, `to ${name}`);
        expect([resets, events], `${position} at ${name}`).toEqual([1, [`to ${name}`]]);
      }
    }
    expect(live.resets).toEqual([{ reason: "fork", channels: ["news"] }]);
    expect(dataOf(live).slice(0, 2)).toEqual(["new", "to a"]);
  });

  it("resets the clients of a node that starts between the loss and the mark", async () => {
    const { cluster, a, before } = await fork();
    await cluster.publish("new 1");
    const d = await cluster.node();
    const [live, cut] = [await connect(d, before), await connect(d, before)];
    await cluster.publish("new 2");
    await Promise.all([got(live, "new 2"), got(cut, "new 2")]);
    expect(dataOf(live)).toEqual(["new 1", "new 2"]);
    cut.cut("rst");
    await marked({ cluster, a });
    await eventually("the reset of a live client", () => live.resets.length === 1);
    for (const node of [d, a, await cluster.node()]) {
      expect(await comesBack(cluster, node, cut.lastEventId, "again")).toEqual({
        resets: 1,
        events: ["again"],
      });
    }
    expect(live.resets).toHaveLength(1);
  });

  it("does not reset a client that came after it, nor one that it has reset, wherever they go", async () => {
    const forked = await fork();
    const { cluster, a, b, before } = forked;
    const live = await connect(b, before);
    await cluster.publish("new");
    await got(live, "new");
    await marked(forked);
    await eventually("the reset", () => live.resets.length === 1);
    const fresh = await connect(a);
    await cluster.publish("1");
    await cluster.publish("2");
    await Promise.all([got(fresh, "2"), got(live, "2")]);
    const c = await cluster.node();
    for (const client of [fresh, live]) {
      const first = client.events.find(({ data }) => data === "1")?.id as string;
      for (const node of [a, b, c]) {
        const { resets, events } = await comesBack(cluster, node, first, "3");
        expect(resets).toBe(0);
        expect(events[0]).toBe("2");
      }
    }
    expect(live.resets).toHaveLength(1);
    expect(fresh.resets).toEqual([]);
  });

  it("is one mark when several nodes find the same loss, one after the other, and each session gets one reset", async () => {
    const forked = await fork();
    const { cluster, a, b } = forked;
    const nodes = [a, b, await cluster.node(), await cluster.node()];
    const witnesses = await Promise.all(nodes.slice(1).map((node) => connect(node)));
    await cluster.publish("read by all");
    await Promise.all(witnesses.map((witness) => got(witness, "read by all")));
    // All of them except A now stand on lost entries, and come back in turn.
    for (const { way } of nodes.slice(1)) way.shut();
    await cluster.restore((await cluster.entries()).slice(0, -1));
    for (const { way, hub } of nodes.toReversed()) {
      way.open();
      await eventually("a node", () => hub.stats().log.state === "live", BACK_MS);
      await cluster.publish("meanwhile");
    }
    await cluster.publish("end");
    await Promise.all(witnesses.map((witness) => got(witness, "end")));
    expect(await cluster.marks()).toHaveLength(1);
    for (const { resets } of witnesses) {
      expect(resets).toEqual([{ reason: "fork", channels: ["news"] }]);
    }
  });

  it("is left for a second loss as well, however soon after the first one", async () => {
    const forked = await fork();
    const { cluster, a, b } = forked;
    await marked(forked);
    const live = await connect(b);
    await cluster.publish("between");
    await got(live, "between");
    const id = live.lastEventId;
    const copy = await cluster.entries();
    const witness = await connect(a);
    b.way.shut();
    await cluster.publish("lost too");
    await got(witness, "lost too");
    a.way.shut();
    await cluster.restore(copy);
    b.way.open();
    await eventually("B", () => b.hub.stats().log.state === "live", BACK_MS);
    expect(live.resets).toEqual([]);
    a.way.open();
    await cluster.hasMarks(2);
    await eventually("the reset", () => live.resets.length === 1);
    await eventually("A", () => a.hub.stats().log.state === "live");
    for (const node of [a, b, await cluster.node()]) {
      expect((await comesBack(cluster, node, id, "again")).resets).toBe(1);
    }
    expect(live.resets).toHaveLength(1);
    expect(witness.resets).toHaveLength(1);
  });

  it("separates positions before it from those after it, even in the middle of a page", async () => {
    const forked = await fork();
    const { cluster, before } = forked;
    await cluster.publish("new");
    await marked(forked);
    const first = await cluster.publish("1");
    for (let n = 2; n <= 20; n++) await cluster.publish(String(n));
    const c = await cluster.node();
    const [stale, good] = [await connect(c, before), await connect(c, first)];
    await got(good, "20");
    await eventually("the reset", () => stale.resets.length === 1);
    expect(dataOf(good)).toEqual(Array.from({ length: 19 }, (_, index) => String(index + 2)));
    expect(dataOf(stale)).toEqual([]);
  });

  it("is respected by lookups, which read no page for older positions, and by pages", async () => {
    const forked = await fork();
    const { cluster, before } = forked;
    const old = await cluster.publish("new");
    await marked(forked);
    const first = await cluster.publish("1");
    await cluster.publish("2");
    const log = redisLog({ url: cluster.redis.url, key: cluster.key });
    closers.push(() => log.close());
    const tail = await log.start({ entries: () => false, reset: () => {}, failed: () => {} });
    const { past } = log;
    const held = { missedMs: expect.any(Number) };
    expect(await past?.find([before, old, first])).toEqual(["unknown", "unknown", held]);
    // Without the key that names it, pages still stop at the mark itself.
    await cluster.redis.command("DEL", `{${cluster.key}}:mark`);
    expect(await past?.find([before, old, first])).toEqual([held, held, held]);
    for (const id of [before, old]) expect(await past?.read(id, tail)).toBe("unknown");
    for (const [from, data] of [
      [first, ["2"]],
      [undefined, ["1", "2"]],
    ] as const) {
      expect(await past?.read(from, tail)).toMatchObject({
        entries: data.map((text) => ({ data: text })),
        isLast: true,
      });
    }
  });

  describe("where the new history uses its numbers again, because the clock is behind", () => {
    /** Number of events that the nodes keep in memory. */
    const KEPT = 5;

    interface Reused {
      readonly cluster: Cluster;
      /** A was there before the loss; B starts after it; C starts when the new history has outgrown the lost one. */
      readonly nodes: Record<"a" | "b" | "c", Node>;
      /** Ids of lost events, behind which an event on `quiet` was lost. */
      readonly lost: readonly string[];
      /** Id of an event of the new history that the nodes have dropped. Nothing was ever published on `quiet` there. */
      readonly good: string;
    }

    /** @param hasKey - Whether the key that names the mark is still there when B starts. */
    async function reuse(hasKey = true): Promise<Reused> {
      const cluster = new Cluster(await server(), `fork-${keys++}`);
      // Redis counts on from an id that is ahead of its clock.
      const ahead = Date.now() + 3_600_000;
      await cluster.redis.command("XADD", cluster.key, `${ahead}-0`, "x", "y");
      const a = await cluster.node(KEPT);
      const witness = await connect(a);
      const copy = await cluster.entries();
      const lost = [await cluster.publish("1"), await cluster.publish("2")];
      await cluster.publish("lost", "quiet");
      await cluster.publish("3");
      await got(witness, "3");
      a.way.shut();
      await cluster.restore(copy);
      a.way.open();
      await cluster.hasMarks(1);
      if (!hasKey) await cluster.redis.command("DEL", `{${cluster.key}}:mark`);
      const b = await cluster.node(KEPT);
      await eventually("the reset", () => witness.resets.length === 1);
      const other = await connect(b);
      const ids: string[] = [];
      for (let n = 1; n <= 2 * KEPT; n++) {
        ids.push(await cluster.publish(`new ${n}`));
        // One at a time: no client falls behind by more than a node keeps.
        await Promise.all([witness, other].map((client) => got(client, `new ${n}`)));
      }
      const numbers = new Set(ids.map((id) => id.split("~")[0]));
      expect(lost.map((id) => numbers.has(id.split("~")[0]))).toEqual([false, true]);
      return { cluster, nodes: { a, b, c: await cluster.node(KEPT) }, lost, good: ids[1] ?? "" };
    }

    it.each([
      ["", true],
      ["without the key that names the mark", false],
    ])(
      "resets clients at a lost position, also on a channel without events, on every node %s",
      async (_name, hasKey) => {
        const { nodes, lost } = await reuse(hasKey);
        for (const [name, node] of Object.entries(nodes)) {
          for (const id of lost) {
            const client = await connect(node, id, "quiet");
            await eventually(`the reset of ${id} at ${name}`, () => client.resets.length === 1);
          }
        }
      },
    );

    it("resets them also once Redis has dropped these numbers and the mark", async () => {
      const { cluster, nodes, lost } = await reuse();
      await cluster.redis.command("XTRIM", cluster.key, "MAXLEN", "2");
      for (const node of Object.values(nodes)) {
        const clients = await Promise.all(lost.map((id) => connect(node, id, "quiet")));
        await eventually("the resets", () => clients.every(({ resets }) => resets.length === 1));
      }
    });

    it("resets clients that wait for a node to reach their lost position, once it reads the mark", async () => {
      const cluster = new Cluster(await server(), `fork-${keys++}`);
      const [a, b] = [await cluster.node(), await cluster.node()];
      const [witness, live] = [await connect(a), await connect(b)];
      await cluster.publish("common");
      await Promise.all([witness, live].map((client) => got(client, "common")));
      const copy = await cluster.entries();
      await eventually("B to have its reader alone", () => b.way.linkCount === 1);
      // B reads no more, but it can still ask.
      b.way.freeze(true);
      const fields = ["t", "aaaaa", "c", "news", "d", "lost", "s", "1"];
      await cluster.redis.command("XADD", cluster.key, `${Date.now() + 3_600_000}-0`, ...fields);
      await got(witness, "lost");
      const id = witness.lastEventId;
      const waiting = await connect(b, id);
      await eventually("B to ask", () => b.way.linkCount === 1);
      await eventually("the answer", () => b.way.linkCount === 0);
      expect([waiting.resets, waiting.events]).toEqual([[], []]);
      a.way.shut();
      await cluster.restore(copy);
      b.way.shut();
      b.way.open();
      await cluster.publish("new");
      await got(live, "new");
      a.way.open();
      await cluster.hasMarks(1);
      const late = await connect(b, id);
      // Before B reads the mark, the id is unknown to it, which is also a reset.
      await eventually("the resets", () =>
        [live, waiting, late].every(({ resets }) => resets.length > 0),
      );
    });

    it("does not reset a client that has missed nothing in the new history", async () => {
      const { cluster, nodes, good } = await reuse();
      // C cannot read back so far.
      const clients = await Promise.all(
        [nodes.a, nodes.b].map((node) => connect(node, good, "quiet")),
      );
      await cluster.publish("first", "quiet");
      for (const client of clients) {
        await got(client, "first");
        expect(client.resets).toEqual([]);
      }
    });
  });

  it("is not left twice if the first reply is lost", async () => {
    const { cluster, a, b } = await fork();
    const witness = await connect(b);
    const cut = a.way.cutReplyTo('"lost"', /\d+-\d+/);
    a.way.open();
    await cut;
    await eventually("A", () => a.hub.stats().log.state === "live", BACK_MS);
    await cluster.publish("end");
    await got(witness, "end");
    expect(await cluster.marks()).toHaveLength(1);
    expect(witness.resets).toHaveLength(1);
  });
});
