import fs from "node:fs";
import path from "node:path";
import { createRedisPublisher } from "@tidewire/redis";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { ClusterNode } from "./node.js";
import type { Load, Outcome } from "./node.js";
import { describeWithRedis, useRedis } from "./redis-server.js";
import type { RedisServer } from "./redis-server.js";

const KEY = "tidewire";
const CHANNELS = ["one", "two"];
/** Time after a loss until events have to arrive again, in milliseconds. */
const RESUME_MS = 10_000;
const HOUR_MS = 3_600_000;

/** An event stored in the stream. */
interface Stored {
  readonly id: string;
  readonly channel: string;
  readonly data: string;
}

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A client that records the events between resets. */
class Witness {
  readonly client: EventClient;
  readonly channels: readonly string[];
  /** Events before the first reset, after it, and so on. */
  readonly #parts: string[][] = [];
  /** Start of each part: the time of its first event, on the clock of `performance.now()`. */
  readonly #beganAt: number[] = [];

  constructor(node: ClusterNode, channels: readonly string[] = CHANNELS) {
    this.channels = channels;
    this.client = new EventClient(
      node.port,
      `/?${channels.map((channel) => `channel=${channel}`).join("&")}`,
    );
    this.client.onEvent = ({ data }) => {
      const part = this.resets.length;
      this.#beganAt[part] ??= performance.now();
      (this.#parts[part] ??= []).push(data);
    };
    this.client.connect();
    closers.push(async () => this.client.cut("rst"));
  }

  get resets(): readonly { reason: string; channels: string[] }[] {
    return this.client.resets;
  }

  get before(): readonly string[] {
    return this.#parts[0] ?? [];
  }

  get after(): readonly string[] {
    return this.#parts[1] ?? [];
  }

  /** Time of the first event after the reset. */
  get resumedAt(): number {
    return this.#beganAt[1] ?? Infinity;
  }

  /** The subset that it must get, in order. */
  of(events: readonly Pick<Stored, "channel" | "data">[]): string[] {
    return events.filter(({ channel }) => this.channels.includes(channel)).map(({ data }) => data);
  }
}

async function startNode(redis: RedisServer): Promise<ClusterNode> {
  const node = await ClusterNode.start({ url: redis.url, key: KEY });
  closers.push(() => node.close());
  return node;
}

/** Waits until the streams are open and have a position. */
async function connected(witnesses: readonly Witness[]): Promise<void> {
  await eventually("all streams", () =>
    witnesses.every(({ client }) => client.isOpen && client.lastEventId !== ""),
  );
}

/** Each node publishes its own numbers. */
function loadOf(prefix: string, from: number, count: number, perSecond = 4_000): Load {
  return { channels: CHANNELS, from, count, perSecond, prefix };
}

async function publishAll(
  nodes: readonly ClusterNode[],
  from: number,
  count: number,
  perSecond?: number,
): Promise<Outcome[]> {
  const outcomes = await Promise.all(
    nodes.map((node, index) => node.publish(loadOf(`${"abc"[index]}-`, from, count, perSecond))),
  );
  return outcomes.flat();
}

/** Current content of the stream. */
async function stored(redis: RedisServer): Promise<Stored[]> {
  const entries = (await redis.command("XRANGE", KEY, "-", "+")) as [string, string[]][];
  return entries.flatMap(([id, fields]) => {
    const names = new Map<string, string>();
    for (let at = 0; at < fields.length; at += 2) names.set(fields[at]!, fields[at + 1]!);
    const channel = names.get("c");
    return channel === undefined ? [] : [{ id, channel, data: names.get("d")! }];
  });
}

/** Events in the order of their ids, which is only meaningful within one history. */
function inOrder(outcomes: readonly Outcome[]): Outcome[] {
  const numbers = ({ id }: Outcome): [number, number] => {
    const [ms, counter] = id!.split("~")[0]!.split("-").map(Number);
    return [ms!, counter!];
  };
  return outcomes
    .filter(({ id }) => id !== undefined)
    .toSorted((left, right) => {
      const [leftMs, leftCounter] = numbers(left);
      const [rightMs, rightCounter] = numbers(right);
      return leftMs - rightMs || leftCounter - rightCounter;
    });
}

/** Paths of the append-only file of Redis and of a copy. */
function files(redis: RedisServer): { live: string; copy: string } {
  return {
    live: path.join(redis.dir, "appendonlydir"),
    copy: path.join(redis.dir, "copy"),
  };
}

function keepCopy(redis: RedisServer): void {
  const { live, copy } = files(redis);
  fs.cpSync(live, copy, { recursive: true });
}

/** Redis stops and returns with the data of the copy, like a replica that was behind. */
async function restartFromCopy(redis: RedisServer): Promise<void> {
  const { live, copy } = files(redis);
  await redis.kill();
  fs.rmSync(live, { recursive: true });
  fs.cpSync(copy, live, { recursive: true });
  await redis.run();
}

/** Sets the stream's last id an hour ahead, so that ids continue by their counter, as after a clock was set back. */
async function setClockBack(redis: RedisServer): Promise<void> {
  await redis.command("XADD", KEY, `${Date.now() + HOUR_MS}-7`, "x", "y");
}

/**
 * Makes the stream look as if it had had a million entries. By their number, nodes tell a stream that was replaced from one
 * that was trimmed: a short one could be outgrown by its successor before a busy node looks.
 */
async function age(redis: RedisServer): Promise<void> {
  const id = await redis.command("XADD", KEY, "*", "x", "y");
  const counts = ["ENTRIESADDED", "1000000", "MAXDELETEDID", "0-0"];
  await redis.command("XSETID", KEY, String(id), ...counts);
}

/** Waits until the readers of this many nodes are idle, which takes ten milliseconds after the last event. */
async function areIdle(redis: RedisServer, count: number): Promise<void> {
  const blocked = `blocked_clients:${count}\r`;
  for (let info = ""; !info.includes(blocked);) {
    info = String(await redis.command("INFO", "clients"));
  }
}

interface Loss {
  readonly name: string;
  readonly lose: (redis: RedisServer) => Promise<unknown>;
  /** Whether events published before the copy still exist. */
  readonly keepsCopied: boolean;
  readonly isClockBehind?: boolean;
}

const LOSSES: readonly Loss[] = [
  { name: "FLUSHALL", lose: (redis) => redis.command("FLUSHALL"), keepsCopied: false },
  { name: "DEL", lose: (redis) => redis.command("DEL", KEY), keepsCopied: false },
  { name: "a restart without the last entries", lose: restartFromCopy, keepsCopied: true },
  {
    name: "a restart without the last entries and with a clock that is behind",
    lose: restartFromCopy,
    keepsCopied: true,
    isClockBehind: true,
  },
];

const TIMES = [
  { when: "without load", isLoaded: false },
  { when: "under load", isLoaded: true },
];

const CASES = LOSSES.flatMap((loss) => TIMES.map((time) => ({ ...loss, ...time })));

describeWithRedis("A history that is lost", () => {
  const server = useRedis("test");

  it.each(CASES.map((lost) => [lost.name, lost.when, lost] as const))(
    "gives each session one reset after %s %s, and then all later events",
    async (name, when, { lose, keepsCopied, isClockBehind, isLoaded }) => {
      const redis = await server();
      if (isClockBehind === true) await setClockBack(redis);
      else await age(redis);
      const nodes = await Promise.all([startNode(redis), startNode(redis)]);
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const witnesses = [
        new Witness(a),
        new Witness(a, ["one"]),
        new Witness(b),
        new Witness(b, ["two"]),
      ];
      // Clients that are cut before the loss and return after it, to either node or to a new one.
      const absent = [new Witness(a), new Witness(a), new Witness(b)];
      const all = [...witnesses, ...absent];
      await connected(all);

      const kept = await publishAll(nodes, 0, 40);
      keepCopy(redis);
      const lost = await publishAll(nodes, 40, 40);
      const published = [...kept, ...lost];
      expect(published.every(({ id }) => id !== undefined)).toBe(true);
      await eventually("what was published before", () =>
        all.every((witness) => witness.before.length === witness.of(published).length),
      );
      for (const { client } of absent) client.cut("rst");

      const under = isLoaded ? publishAll(nodes, 80, 600, 400) : Promise.resolve([]);
      if (isLoaded) {
        await eventually("some of the load", () =>
          witnesses.every(({ before }) => before.length > 120),
        );
      } else {
        await areIdle(redis, nodes.length);
      }
      const lostAt = performance.now();
      await lose(redis);
      await eventually(
        "the reset of each session",
        () => witnesses.every(({ resets }) => resets.length > 0),
        RESUME_MS,
      );
      const resetMs = performance.now() - lostAt;
      const last = [...(await under), ...(await publishAll(nodes, 680, 40))];
      await eventually(
        "what was published after",
        () => witnesses.every(({ after }) => after.includes("a-719") || after.includes("a-718")),
        RESUME_MS,
      );
      const resumeMs = Math.max(...witnesses.map(({ resumedAt }) => resumedAt)) - lostAt;
      console.log(
        `${name}, ${when}: reset after ${resetMs.toFixed()} ms, delivery after ${resumeMs.toFixed()} ms`,
      );
      // Without load, delivery cannot be measured: it counts as restored once sessions have their reset.
      expect(isLoaded ? resumeMs : resetMs).toBeLessThan(RESUME_MS);

      const c = await startNode(redis);
      for (const [index, { client }] of absent.entries()) {
        client.port = [a, b, c][index]!.port;
        client.connect();
      }
      await eventually("the resets of those who come back", () =>
        absent.every(({ resets }) => resets.length > 0),
      );
      await publishAll(nodes, 720, 20);
      await eventually("the end, for all", () =>
        all.every((witness) =>
          CHANNELS.every(
            (channel, index) =>
              !witness.channels.includes(channel) ||
              ["a", "b"].every((prefix) => witness.after.includes(`${prefix}-${738 + index}`)),
          ),
        ),
      );

      const present = await stored(redis);
      const isPresent = new Set(present.map(({ data }) => data));
      // Everything acknowledged in the lost history, and everything common to both.
      const history = inOrder([
        ...kept,
        ...[...lost, ...last].filter(({ data }) => !isPresent.has(data)),
      ]);
      const isAcknowledged = new Set(history.map(({ data }) => data));
      expect(kept.every(({ data }) => isPresent.has(data) === keepsCopied)).toBe(true);
      expect(lost.some(({ data }) => isPresent.has(data))).toBe(false);
      for (const witness of all) {
        expect(witness.resets.map(({ channels }) => channels)).toEqual([witness.channels]);
        // An unacknowledged event may have arrived: it was in the stream when its reply was lost.
        const before = witness.before.filter(
          (data) => isAcknowledged.has(data) || isPresent.has(data),
        );
        expect(before).toEqual(witness.of(history).slice(0, before.length));
        expect(before.length).toBeGreaterThanOrEqual(witness.of(published).length);
        const { after } = witness;
        expect(after).toEqual(witness.of(present).slice(-after.length));
      }
      // Clients that stayed have everything published after their reset, the others everything after their return.
      for (const { resets, after, channels } of witnesses) {
        expect(resets.map(({ reason }) => reason)).toEqual(["fork"]);
        expect(after.length).toBeGreaterThanOrEqual(60 * channels.length);
      }
      for (const { after } of absent) expect(after.length).toBe(40);
    },
    40_000,
  );

  it("resets clients with an id that another event has in the new history", async () => {
    const redis = await server();
    await setClockBack(redis);
    const nodes = await Promise.all([startNode(redis), startNode(redis)]);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    const witnesses = [new Witness(a), new Witness(b)];
    const absent = [new Witness(a), new Witness(a), new Witness(b)];
    const all = [...witnesses, ...absent];
    await connected(all);
    await publishAll(nodes, 0, 10);
    keepCopy(redis);
    const lost = await publishAll(nodes, 10, 20);
    await eventually("all events", () => all.every(({ before }) => before.length === 60));
    for (const { client } of absent) client.cut("rst");

    // The readers are paused while the new history outgrows the old one.
    for (const node of nodes) node.pause();
    await restartFromCopy(redis);
    const publisher = createRedisPublisher({ url: redis.url, key: KEY });
    closers.push(() => publisher.close());
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      for (const end = sent + count; sent < end; sent++) {
        await publisher.publish(CHANNELS[sent % 2]!, { data: `new-${sent}` });
      }
    };
    await publish(100);
    const held = [inOrder(lost).at(-1)!.id!, ...all.map(({ client }) => client.lastEventId)];
    const ids = new Set((await stored(redis)).map(({ id }) => id));
    // Judged by Redis ids alone, none would look wrong.
    expect(held.filter((id) => !ids.has(id.split("~")[0]!))).toEqual([]);

    for (const node of nodes) node.resume();
    const c = await startNode(redis);
    for (const [index, { client }] of absent.entries()) {
      client.port = [a, b, c][index]!.port;
      client.connect();
    }
    // Continues until all have a reset, with a limit.
    for (let left = 1_000; left > 0 && !all.every(({ resets }) => resets.length > 0); left--) {
      await publish(1);
    }
    await publish(20);
    const end = `new-${sent - 1}`;
    await eventually("the last event, for all", () =>
      all.every(({ after }) => after.includes(end)),
    );
    const present = await stored(redis);
    for (const witness of all) {
      expect(witness.before.filter((data) => data.startsWith("new"))).toEqual([]);
      expect(witness.resets.length).toBe(1);
      const { after } = witness;
      expect(after.length).toBeGreaterThanOrEqual(20);
      expect(after).toEqual(witness.of(present).slice(-after.length));
    }
    expect(witnesses.map(({ resets }) => resets[0]?.reason)).toEqual(["fork", "fork"]);
    expect((await a.stats()).errors.concat((await b.stats()).errors)).toEqual([
      expect.stringMatching(/^log: /),
      expect.stringMatching(/^log: /),
    ]);
  }, 30_000);

  it("resets clients that were cut before the lost events, and have an id that is in both histories", async () => {
    const redis = await server();
    const nodes = await Promise.all([startNode(redis), startNode(redis)]);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    const witnesses = [new Witness(a), new Witness(b)];
    const absent = [new Witness(a), new Witness(a), new Witness(b)];
    const all = [...witnesses, ...absent];
    await connected(all);
    await publishAll(nodes, 0, 10);
    await eventually("all events", () => all.every(({ before }) => before.length === 20));
    for (const { client } of absent) client.cut("rst");
    keepCopy(redis);
    // Acknowledged and delivered to others: the absent clients have missed these events, which are lost for good.
    await publishAll(nodes, 10, 10);
    await eventually("the others", () => witnesses.every(({ before }) => before.length === 40));
    await restartFromCopy(redis);
    await eventually("the resets", () => witnesses.every(({ resets }) => resets.length === 1));
    await publishAll(nodes, 20, 10);
    const ids = new Set((await stored(redis)).map(({ id }) => id));
    expect(absent.every(({ client }) => ids.has(client.lastEventId.split("~")[0]!))).toBe(true);

    const c = await startNode(redis);
    for (const [index, { client }] of absent.entries()) {
      client.port = [a, b, c][index]!.port;
      client.connect();
    }
    await eventually("their resets", () => absent.every(({ resets }) => resets.length === 1));
    await publishAll(nodes, 30, 10);
    const present = (await stored(redis)).slice(-20);
    await eventually("the end", () =>
      all.every(({ after }) => after.at(-1) === present.at(-1)?.data),
    );
    for (const witness of absent) {
      expect(witness.before.length).toBe(20);
      expect(witness.after).toEqual(witness.of(present));
      expect(witness.resets).toEqual([{ reason: "unknown", channels: CHANNELS }]);
    }
    // After their reset they may connect to any node: later reports of the loss do not affect them.
    for (const { client } of absent) client.cut("rst");
    await publishAll(nodes, 40, 10);
    const d = await startNode(redis);
    for (const { client } of absent) {
      client.port = d.port;
      client.connect();
    }
    const end = (await stored(redis)).slice(-40);
    await eventually("what they have missed", () =>
      absent.every(({ after }) => after.length === 40),
    );
    for (const { after, resets } of absent) {
      expect(after).toEqual(end.map(({ data }) => data));
      expect(resets.length).toBe(1);
    }
  }, 30_000);

  it("resets a client whose id differs from the first position of a node by its tag alone", async () => {
    const redis = await server();
    await redis.command("XADD", KEY, "5-5", "t", "00000");
    const node = await startNode(redis);
    const witness = new Witness(node);
    await connected([witness]);
    witness.client.cut("rst");
    await publishAll([node], 0, 4);
    // The event at this id in a lost history.
    witness.client.lastEventId = "5-5~zzzzz";
    witness.client.connect();
    await eventually("the reset", () => witness.resets.length === 1);
    expect(witness.before).toEqual([]);
  });

  it("also resets the sessions of a node that had not read the lost events", async () => {
    const redis = await server();
    const [a, b] = [await startNode(redis), await startNode(redis)];
    const witnesses = [new Witness(a), new Witness(b)];
    const [seeing, unaware] = witnesses as [Witness, Witness];
    await connected(witnesses);
    await publishAll([a], 0, 20);
    await eventually("all events", () => witnesses.every(({ before }) => before.length === 20));
    keepCopy(redis);
    // Its place is in both histories, and its connection is gone: no lost entry is on its way to it.
    b.pause();
    await redis.command("CLIENT", "KILL", "TYPE", "normal");
    await a.until("the reader to be back", ({ log }) => log.reconnects === 1);
    await publishAll([a], 20, 20);
    await eventually("what will be lost", () => seeing.before.length === 40);
    await restartFromCopy(redis);
    await eventually("the reset", () => seeing.resets.length === 1);
    b.resume();
    await eventually("the reset of the other one", () => unaware.resets.length === 1);
    await publishAll([a, b], 40, 10);
    const present = (await stored(redis)).slice(-20);
    await eventually("the end", () =>
      witnesses.every(({ after }) => after.at(-1) === present.at(-1)?.data),
    );
    for (const { after, resets } of witnesses) {
      expect(after).toEqual(present.map(({ data }) => data));
      expect(resets).toEqual([{ reason: "fork", channels: CHANNELS }]);
    }
    expect(unaware.before.length).toBe(20);
  }, 30_000);

  it("is not lost if everything is there after a restart", async () => {
    const redis = await server();
    await setClockBack(redis);
    const nodes = await Promise.all([startNode(redis), startNode(redis)]);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    const witnesses = [new Witness(a), new Witness(b)];
    const absent = [new Witness(a), new Witness(a), new Witness(b)];
    const all = [...witnesses, ...absent];
    await connected(all);
    await publishAll(nodes, 0, 10);
    await eventually("all events", () => all.every(({ before }) => before.length === 20));
    for (const { client } of absent) client.cut("rst");
    await publishAll(nodes, 10, 10);
    await eventually("the others", () => witnesses.every(({ before }) => before.length === 40));
    keepCopy(redis);
    await restartFromCopy(redis);

    await publishAll(nodes, 20, 10);
    const c = await startNode(redis);
    for (const [index, { client }] of absent.entries()) {
      client.port = [a, b, c][index]!.port;
      client.connect();
    }
    const present = await stored(redis);
    expect(present.length).toBe(60);
    await eventually("all of it", () => all.every(({ before }) => before.length === 60));
    for (const witness of all) {
      expect(witness.before).toEqual(witness.of(present));
      expect(witness.resets).toEqual([]);
    }
  }, 30_000);
});

describeWithRedis("An outage longer than the retention", () => {
  const server = useRedis("test");

  it("gives the sessions of that node a reset, and those of the others everything", async () => {
    const redis = await server();
    const [a, b] = (await Promise.all([startNode(redis), startNode(redis)])) as [
      ClusterNode,
      ClusterNode,
    ];
    const cutOff = new Witness(a);
    const witness = new Witness(b);
    // They return later: to the node that has seen everything, to the one that has not, and to a new one.
    const absent = [new Witness(b), new Witness(b), new Witness(b)];
    const all = [cutOff, witness, ...absent];
    await connected(all);
    // Redis drops whole groups of a hundred, so there are always slightly more than two hundred at most.
    const publisher = createRedisPublisher({
      url: redis.url,
      key: KEY,
      retention: { maxEvents: 100 },
    });
    closers.push(() => publisher.close());
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      const batch: Promise<unknown>[] = [];
      for (const end = sent + count; sent < end; sent++) {
        batch.push(publisher.publish("one", { data: String(sent) }));
      }
      await Promise.all(batch);
      await eventually("the events", () => witness.before.length === sent);
    };
    const numbers = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, index) => String(from + index));

    await publish(50);
    await eventually("the first events", () => all.every(({ before }) => before.length === 50));
    for (const { client } of absent) client.cut("rst");
    a.pause();
    for (let left = 59; left > 0; left--) await publish(50);
    expect(Number(await redis.command("XLEN", KEY))).toBeLessThan(300);
    const resumedAt = performance.now();
    a.resume();
    await eventually("the reset", () => cutOff.resets.length > 0);
    console.log(
      `an outage longer than retention: reset after ${(performance.now() - resumedAt).toFixed()} ms`,
    );

    const c = await startNode(redis);
    for (const [index, { client }] of absent.entries()) {
      client.port = [b, a, c][index]!.port;
      client.connect();
    }
    const [served, ...unserved] = absent as [Witness, Witness, Witness];
    await eventually("what was missed", () => served.before.length === sent);
    await eventually("the resets", () => unserved.every(({ resets }) => resets.length > 0));
    const from = sent;
    await publish(50);
    await eventually("the end, for all", () =>
      [witness.before, served.before, ...[cutOff, ...unserved].map(({ after }) => after)].every(
        (received) => received.at(-1) === String(sent - 1),
      ),
    );
    for (const { before, resets } of [witness, served]) {
      expect(resets).toEqual([]);
      expect(before).toEqual(numbers(0, sent));
    }
    for (const { after, resets } of [cutOff, ...unserved]) {
      expect(resets).toEqual([{ reason: "trimmed", channels: CHANNELS }]);
      expect(after).toEqual(numbers(from, sent));
    }
    // Entries that Redis had returned before it was stopped are delivered, but none after a gap.
    expect(cutOff.before).toEqual(numbers(0, cutOff.before.length));
    for (const { before } of unserved) expect(before).toEqual(numbers(0, 50));
  }, 30_000);
});
