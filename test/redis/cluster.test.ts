import { once } from "node:events";
import net from "node:net";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient, seeded } from "../delivery/event-client.js";
import { ClusterNode } from "./node.js";
import type { Outcome } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
const CHANNELS = Array.from({ length: 20 }, (_, i) => `channel-${i}`);

/** An event in the log. */
interface Published {
  readonly id: string;
  readonly channel: string;
  readonly data: string;
}

/** A client and its channels. */
interface Member {
  readonly client: EventClient;
  readonly channels: ReadonlySet<string>;
}

describeWithRedis("A cluster of nodes on one Redis", () => {
  const redis = useRedis("suite");
  const nodes: ClusterNode[] = [];
  const members: Member[] = [];
  let keys = 0;

  afterEach(async () => {
    for (const { client } of members.splice(0)) client.cut("rst");
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });

  /** Starts a node on a key. */
  async function startNode(key: string, url?: string): Promise<ClusterNode> {
    const node = await ClusterNode.start({ url: url ?? (await redis()).url, key });
    nodes.push(node);
    return node;
  }

  /** Connects a client. */
  function join({ port }: ClusterNode, channels: readonly string[]): Member {
    const query = channels.map((channel) => `channel=${channel}`).join("&");
    const member = { client: new EventClient(port, `/?${query}`), channels: new Set(channels) };
    member.client.connect();
    members.push(member);
    return member;
  }

  /** Events published from here on must not be missed. */
  async function allHaveAPosition(): Promise<void> {
    await eventually("all clients to have a position", () =>
      members.every(({ client }) => client.cursors > 0),
    );
  }

  /** Waits until each client has the expected number of events, and returns the differences. */
  async function faultsIn(log: readonly Published[]): Promise<string[]> {
    const expected = members.map(({ channels }) =>
      log.filter(({ channel }) => channels.has(channel)),
    );
    const faults = (): string[] =>
      members.flatMap(({ client }, i) => {
        const fault = firstFault(client.events, expected[i] ?? []);
        return fault === undefined ? [] : [`client ${i}: ${fault}`];
      });
    await eventually(
      () => `all clients to have all: ${faults().slice(0, 3).join("; ")}`,
      () => members.every(({ client }, i) => client.events.length >= (expected[i]?.length ?? 0)),
      20_000,
    );
    return faults();
  }

  it(
    "gives 200 clients everything exactly once and in one order while they change nodes at each of 500 cuts",
    { timeout: 90_000 },
    async () => {
      console.log(`seed ${SEED}: run again with SEED=${SEED}`);
      const [clients, cuts, seconds, perSecond] = [200, 500, 10, 2_000];
      const random = seeded(SEED);
      const key = `cluster-${keys++}`;
      const cluster = await Promise.all([startNode(key), startNode(key), startNode(key)]);
      const [first, second, third] = cluster;
      for (let i = 0; i < clients; i++) {
        // Most are on a few channels, some on many, and the first on all.
        const size = i === 0 ? CHANNELS.length : 1 + Math.floor(CHANNELS.length * random() ** 3);
        join(cluster[i % 3] as ClusterNode, pick(CHANNELS, size, random));
      }
      await allHaveAPosition();

      const count = (seconds * perSecond) / 2;
      const load = { channels: CHANNELS, count, perSecond: perSecond / 2, prefix: "" };
      const torment = new Torment(members, cluster, random);
      const [left, right] = await Promise.all([
        first.publish({ ...load, from: 0 }),
        second.publish({ ...load, from: count }),
        torment.run(cuts, seconds * 1_000),
      ]);
      // The last events come from a node that has published nothing so far. A duplicate of an earlier event would
      // precede them.
      const end = { channels: CHANNELS, from: 2 * count, count: CHANNELS.length };
      const last = await third.publish({ ...end, perSecond: 1_000, prefix: "" });
      await eventually("all cuts to be done", () => torment.done === cuts);

      const log = inOrder([...left, ...right, ...last]);
      expect(log.length).toBe(2 * count + CHANNELS.length);
      const faults = await faultsIn(log);
      // Checked first, because a reset explains later differences.
      expect(members.flatMap(({ client }) => client.resets)).toEqual([]);
      expect(faults.slice(0, 5)).toEqual([]);
      // Each cut had an effect: every client that was cut has reconnected once.
      const connections = members.reduce((sum, { client }) => sum + client.connections, 0);
      expect(connections).toBe(clients + cuts);

      const stats = await Promise.all(cluster.map((node) => node.stats()));
      expect(stats.flatMap(({ errors }) => errors)).toEqual([]);
      const received = members.reduce((sum, { client }) => sum + client.events.length, 0);
      const replays = stats.reduce((sum, node) => sum + node.replays, 0);
      // The absence of losses is only significant if there was something to miss.
      expect(replays).toBeGreaterThan(cuts / 2);
      console.log(
        `${log.length} published, ${received} received, ${cuts} cuts (${torment.inFrames} within a chunk), ${replays} replays`,
      );
    },
  );

  it(
    "serves the clients of a killed node from the others, and they miss nothing",
    { timeout: 60_000 },
    async () => {
      console.log(`seed ${SEED}: run again with SEED=${SEED}`);
      const random = seeded(SEED);
      const key = `cluster-${keys++}`;
      const cluster = await Promise.all([startNode(key), startNode(key), startNode(key)]);
      const [victim, ...others] = cluster;
      const orphans: EventClient[] = [];
      for (let i = 0; i < 1_000; i++) {
        const node = cluster[i % 3] as ClusterNode;
        const { client } = join(node, pick(CHANNELS, 2, random));
        if (node === victim) orphans.push(client);
      }
      await allHaveAPosition();

      // The killed node publishes too. The fate of its events is not reported, but the log has them or not.
      const load = { channels: CHANNELS, count: 560, perSecond: 70, prefix: "" };
      void victim.publish({ ...load, from: 0 });
      const published = Promise.all(
        others.map((node, i) => node.publish({ ...load, from: (i + 1) * load.count })),
      );
      await eventually("all clients to be under load", () =>
        members.every(({ client }) => client.events.length >= 10),
      );

      const killedAt = performance.now();
      const backAfter = comeBack(orphans, others, random);
      await victim.kill();
      const isDeadSince = Date.now();
      const servedAfterMs: number[] = [];
      for (const client of orphans) {
        client.onEvent = ({ id = "" }) => {
          // The clock of Redis is this machine's.
          if (Number.parseInt(id, 10) <= isDeadSince) return;
          client.onEvent = () => {};
          servedAfterMs.push(performance.now() - killedAt);
        };
      }
      const outcomes = (await published).flat();
      const end = { channels: CHANNELS, from: 3 * load.count, count: CHANNELS.length };
      const last = await (others[0] as ClusterNode).publish({
        ...end,
        perSecond: 1_000,
        prefix: "",
      });
      await backAfter;
      await eventually("all to be served", () => servedAfterMs.length === orphans.length);

      const log = await logOf(await redis(), key);
      const ids = new Set(log.map(({ id }) => id));
      expect(inOrder([...outcomes, ...last]).every(({ id }) => ids.has(id))).toBe(true);
      const byVictim = log.filter(({ data }) => Number(data) < load.count).length;
      // It was killed while it was working.
      expect(byVictim).toBeGreaterThan(0);
      expect(byVictim).toBeLessThan(load.count);
      const faults = await faultsIn(log);
      // Checked first, because a reset explains later differences.
      expect(members.flatMap(({ client }) => client.resets)).toEqual([]);
      expect(faults.slice(0, 5)).toEqual([]);
      expect(orphans.every(({ connections }) => connections === 2)).toBe(true);

      servedAfterMs.sort((a, b) => a - b);
      const slowest = servedAfterMs.at(-1) ?? Infinity;
      const median = servedAfterMs[servedAfterMs.length >> 1] ?? Infinity;
      console.log(
        `${orphans.length} clients served again: half of them in ${median.toFixed()} ms, all in ${slowest.toFixed()} ms`,
      );
    },
  );

  it("makes a client that is ahead of its new node wait until the node has caught up", async () => {
    const key = `cluster-${keys++}`;
    const wire = await HeldWire.start((await redis()).port);
    try {
      const ahead = await startNode(key);
      const behind = await startNode(key, wire.url);
      const { client } = join(ahead, ["news"]);
      await allHaveAPosition();
      await behind.until("the other node to be live", ({ log }) => log.state === "live");
      // Events published from now on do not reach the other node.
      wire.hold();
      const load = { channels: ["news"], count: 10, perSecond: 1_000, prefix: "" };
      const published = await ahead.publish({ ...load, from: 0 });
      await eventually("all of it", () => client.events.length === load.count);
      client.cut("fin");
      client.port = behind.port;
      client.connect();
      await behind.until("the client to be there", ({ sessions }) => sessions.open === 1);
      wire.release();
      published.push(...(await ahead.publish({ ...load, from: load.count })));
      // If its id were unknown, the client would get a reset, and the first ten events again.
      const faults = await faultsIn(inOrder(published));
      expect(client.resets).toEqual([]);
      expect(faults).toEqual([]);
    } finally {
      await wire.close();
    }
  });

  it("keeps hubs with different keys apart", async () => {
    const [here, there] = await Promise.all([
      startNode(`cluster-${keys++}`),
      startNode(`cluster-${keys++}`),
    ]);
    const mine = join(here, ["news"]).client;
    const theirs = join(there, ["news"]).client;
    await allHaveAPosition();
    const load = { channels: ["news"], count: 1, perSecond: 1_000 };
    for (let from = 0; from < 10; from++) {
      await here.publish({ ...load, from, prefix: "here-" });
      await there.publish({ ...load, from, prefix: "there-" });
    }
    const numbers = Array.from({ length: 10 }, (_, i) => i);
    await eventually("both to have theirs", () =>
      [mine, theirs].every(({ events }) => events.length >= numbers.length),
    );
    expect(mine.events.map(({ data }) => data)).toEqual(numbers.map((n) => `here-${n}`));
    expect(theirs.events.map(({ data }) => data)).toEqual(numbers.map((n) => `there-${n}`));

    // A position in one log means nothing in another: a client that goes astray gets a reset instead of a part.
    mine.cut("fin");
    mine.port = there.port;
    mine.connect();
    await eventually("a reset", () => mine.resets.length > 0);
    await there.publish({ ...load, from: 10, prefix: "there-" });
    await eventually("the next event", () => mine.events.length > numbers.length);
    expect(mine.events.slice(numbers.length).map(({ data }) => data)).toEqual(["there-10"]);
    expect(mine.resets.length).toBe(1);
  });
});

/** Sits between a node and Redis, and holds back replies. */
class HeldWire {
  readonly #server: net.Server;
  readonly #links: { readonly node: net.Socket; readonly redis: net.Socket }[] = [];

  private constructor(server: net.Server, redisPort: number) {
    this.#server = server;
    server.on("connection", (node) => {
      const redis = net.connect(redisPort, "127.0.0.1");
      for (const socket of [node, redis]) socket.on("error", () => {});
      node.pipe(redis).pipe(node);
      this.#links.push({ node, redis });
    });
  }

  static async start(redisPort: number): Promise<HeldWire> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new HeldWire(server, redisPort);
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  hold(): void {
    for (const { node, redis } of this.#links) redis.unpipe(node).pause();
  }

  release(): void {
    for (const { node, redis } of this.#links) redis.pipe(node);
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const { node, redis } of this.#links) {
      node.destroy();
      redis.destroy();
    }
    await once(this.#server, "close");
  }
}

/** Cuts clients at random moments and in random ways, and lets each reconnect to another node. */
class Torment {
  /** Number of cuts whose client has reconnected. */
  done = 0;
  /** Number of cuts in the middle of a chunk. */
  inFrames = 0;
  readonly #members: readonly Member[];
  readonly #cluster: readonly ClusterNode[];
  readonly #random: () => number;
  /** Clients that are about to be cut, or reconnecting: they are left alone meanwhile. */
  readonly #busy: Set<EventClient> = new Set();

  constructor(members: readonly Member[], cluster: readonly ClusterNode[], random: () => number) {
    this.#members = members;
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Settles when all cuts are under way. A cut within a chunk waits for the next chunk. */
  async run(cuts: number, durationMs: number): Promise<void> {
    const start = performance.now();
    for (let cut = 0; cut < cuts; cut++) {
      const due = start + ((cut + this.#random()) * durationMs) / cuts;
      await new Promise((resolve) => {
        setTimeout(resolve, due - performance.now());
      });
      // On a machine that hangs for a while, all clients may be waiting.
      await eventually("a client to be free", () => this.#busy.size < this.#members.length);
      this.#cut();
    }
  }

  #cut(): void {
    const free = this.#members.filter(({ client }) => !this.#busy.has(client));
    const { client } = free[Math.floor(this.#random() * free.length)] as Member;
    const how = this.#random() < 0.5 ? "fin" : "rst";
    const others = this.#cluster.filter(({ port }) => port !== client.port);
    const { port } = others[Math.floor(this.#random() * others.length)] as ClusterNode;
    const reconnect = (): void => {
      this.#busy.delete(client);
      client.port = port;
      client.connect();
      this.done += 1;
    };
    this.#busy.add(client);
    if (this.#random() < 0.5) {
      const delayMs = this.#random() * 200;
      client.cut(how);
      setTimeout(reconnect, delayMs);
      return;
    }
    this.inFrames += 1;
    const share = this.#random();
    // Part of the next chunk arrives, the rest never does.
    client.onChunk = (chunk) => {
      client.onChunk = (same) => same;
      client.pause();
      setImmediate(() => {
        client.cut(how);
        reconnect();
      });
      return chunk.subarray(0, Math.floor(share * chunk.length));
    };
  }
}

/** Lets disconnected clients reconnect to another node, each after its own delay, as browsers do. */
async function comeBack(
  clients: readonly EventClient[],
  nodes: readonly ClusterNode[],
  random: () => number,
): Promise<void> {
  const connected = new Set(clients);
  await eventually("the connections to break", () => {
    for (const client of connected) {
      if (client.isOpen) continue;
      connected.delete(client);
      client.port = (nodes[Math.floor(random() * nodes.length)] as ClusterNode).port;
      setTimeout(() => client.connect(), 50 + random() * 950);
    }
    return connected.size === 0;
  });
}

/** Picks a number of items at random. */
function pick<Item>(list: readonly Item[], count: number, random: () => number): Item[] {
  const left = [...list];
  return Array.from(
    { length: count },
    () => left.splice(Math.floor(random() * left.length), 1)[0] as Item,
  );
}

/** Published events in the order assigned by Redis. Each must have an id. */
function inOrder(outcomes: readonly Outcome[]): Published[] {
  const published = outcomes.map(({ id, code, channel, data }) => {
    if (id === undefined) throw new Error(`${data} was not published: ${code}`);
    const [ms = NaN, seq = NaN] = id.split(/[-~]/).map(Number);
    return { id, channel, data, ms, seq };
  });
  return published.toSorted((a, b) => a.ms - b.ms || a.seq - b.seq);
}

/** The events of a stream in Redis. */
async function logOf(server: RedisServer, key: string): Promise<Published[]> {
  const entries = (await server.command("XRANGE", key, "-", "+")) as [string, string[]][];
  return entries.flatMap(([streamId, list]) => {
    const fields = new Map<string | undefined, string | undefined>();
    for (let at = 0; at < list.length; at += 2) fields.set(list[at], list[at + 1]);
    const [tag, channel, data] = ["t", "c", "d"].map((name) => fields.get(name));
    if (channel === undefined || data === undefined) return [];
    return [{ id: `${streamId}~${tag}`, channel, data }];
  });
}

/** Describes the first difference between two lists, more readable than a diff of thousands of lines. */
function firstFault(
  received: readonly { readonly id?: string | undefined; readonly data: string }[],
  expected: readonly Published[],
): string | undefined {
  const at = expected.findIndex(
    ({ id, data }, index) => received[index]?.id !== id || received[index].data !== data,
  );
  if (at === -1) {
    const more = received.length - expected.length;
    return more === 0 ? undefined : `${more} too many`;
  }
  const show = (list: typeof received): string =>
    list
      .slice(at, at + 3)
      .map(({ id, data }) => `${id} ${data}`)
      .join(", ");
  return `at ${at}: expected ${show(expected)}; got ${show(received)} (${received.length} of ${expected.length})`;
}
