// Several nodes on one log that delivers late, fails, forks and is cut off, with clients that come and go: once everything
// has settled, every node and every watcher knows exactly who is there.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NodeUnderTest } from "./node-under-test.js";
import { LogView, SharedLog, randomFrom } from "./shared-log.js";
import type { Random } from "./shared-log.js";

const CHANNELS = ["a", "b", "c"];
const IDENTITIES = ["ada", "bob", "cyd", "dan", "eve", "fay"];
const SETTINGS = { lingerMs: 500, leaseMs: 3_000 };
const RUNS = Number(process.env["RUNS"] ?? 25);
const STEPS = 120;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A node with its streams. */
interface Place {
  readonly view: LogView;
  readonly node: NodeUnderTest;
  readonly streams: { identity: string; channel: string }[];
}

class Cluster {
  readonly random: Random;
  readonly log: SharedLog;
  readonly places: Place[] = [];

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.log = new SharedLog(this.random);
  }

  start(): Place {
    const view = new LogView(this.log);
    const node = new NodeUnderTest(view, SETTINGS);
    for (const channel of CHANNELS) node.watch(channel);
    const place = { view, node, streams: [] };
    this.places.push(place);
    return place;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.random() * items.length)] as Item;
  }

  join({ node, streams }: Place, identity: string, channel: string): void {
    streams.push({ identity, channel });
    node.presence.joined(identity, [channel]);
  }

  /** A stream ends. */
  end(place: Place, how: "closed" | "left"): { identity: string; channel: string } | undefined {
    const { streams } = place;
    const [stream] = streams.splice(Math.floor(this.random() * streams.length), 1);
    if (stream === undefined) return undefined;
    place.node.presence[how](stream.identity, [stream.channel]);
    return stream;
  }

  /** The identities that have a stream. */
  truth(channel: string): string[] {
    const present = this.places.flatMap(({ streams }) =>
      streams.filter((stream) => stream.channel === channel).map(({ identity }) => identity),
    );
    return [...new Set(present)].toSorted();
  }

  async close(): Promise<void> {
    for (const { node } of this.places) await node.close();
  }
}

/** One event of a day with a failing network. */
function stumble(cluster: Cluster): void {
  const { random, places, log } = cluster;
  const place = cluster.pick(places);
  const dice = random();
  if (dice < 0.35) cluster.join(place, cluster.pick(IDENTITIES), cluster.pick(CHANNELS));
  else if (dice < 0.5) cluster.end(place, "closed");
  else if (dice < 0.6) cluster.end(place, "left");
  else if (dice < 0.75) {
    const stream = cluster.end(place, "closed");
    if (stream !== undefined) cluster.join(cluster.pick(places), stream.identity, stream.channel);
  } else if (dice < 0.8) log.failing = random() < 0.5 ? 0 : random() * 0.6;
  else if (dice < 0.86) place.view.cut(!place.view.isDown);
  else if (dice < 0.89) log.fork(Math.floor(random() * 6));
  else if (dice < 0.92) place.view.trim();
  else if (dice < 0.95 && places.length < 5) cluster.start();
  else if (dice < 0.98 && places.length > 2) {
    places.splice(places.indexOf(place), 1);
    if (random() < 0.5) void place.node.close();
    else {
      // Killed: nothing that it does is seen.
      place.view.isDown = true;
      void place.view.close();
    }
  }
}

describe("Presence on several nodes", () => {
  it("is the truth everywhere once everything has settled", { timeout: 60_000 }, async () => {
    const base = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    for (let run = 0; run < RUNS; run++) {
      const cluster = new Cluster(base + run);
      for (let count = 0; count < 3; count++) cluster.start();
      for (let step = 0; step < STEPS; step++) {
        stumble(cluster);
        await vi.advanceTimersByTimeAsync(cluster.random() ** 3 * 1_500);
      }
      cluster.log.failing = 0;
      for (const { view } of cluster.places) view.cut(false);
      await vi.advanceTimersByTimeAsync(6 * SETTINGS.leaseMs);
      for (const [index, { node }] of cluster.places.entries()) {
        for (const channel of CHANNELS) {
          const where = `SEED=${base + run} RUNS=1, node ${index}, channel ${channel}`;
          const asked = node.presence.of(channel);
          await vi.advanceTimersByTimeAsync(1_000);
          const known = await asked;
          expect(known.toSorted(), where).toEqual(cluster.truth(channel));
          const watched = [...(node.watchers.get(channel)?.present ?? [])].toSorted();
          expect(watched, `${where}, watcher`).toEqual(cluster.truth(channel));
        }
      }
      await cluster.close();
      vi.clearAllTimers();
    }
  });

  it("is the same on all nodes at each position, and no reload shows", async () => {
    const base = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    for (let run = 0; run < 10; run++) {
      const cluster = new Cluster(base + run);
      const places = [cluster.start(), cluster.start(), cluster.start()];
      await vi.advanceTimersByTimeAsync(2_000);
      const known: Map<string, string[]> = new Map();
      for (const { node } of places) {
        node.onEntry = ({ id }) => {
          const all = CHANNELS.map((channel) => JSON.stringify(node.presence.stateOf(channel)));
          known.set(id, [...(known.get(id) ?? []), all.join()]);
        };
      }
      for (const identity of IDENTITIES) {
        cluster.join(cluster.pick(places), identity, cluster.pick(CHANNELS));
      }
      for (let step = 0; step < 100; step++) {
        const place = cluster.pick(places);
        const stream = cluster.end(place, "closed");
        await vi.advanceTimersByTimeAsync(cluster.random() * 200);
        if (stream !== undefined) {
          cluster.join(cluster.pick(places), stream.identity, stream.channel);
        }
      }
      await vi.advanceTimersByTimeAsync(6 * SETTINGS.leaseMs);
      expect(known.size).toBeGreaterThan(20);
      for (const [id, all] of known) {
        expect(new Set(all).size, `entry ${id}, SEED=${base + run}`).toBe(1);
      }
      for (const { node } of places) {
        const seen = CHANNELS.flatMap((channel) => node.watchers.get(channel)?.seen ?? []);
        const joins = IDENTITIES.map((identity) => `join ${identity}`);
        expect(seen.toSorted(), `SEED=${base + run}`).toEqual(joins);
        expect([...node.watchers.values()].map(({ resets }) => resets)).toEqual([0, 0, 0]);
        expect(node.errors).toEqual([]);
      }
      await cluster.close();
      vi.clearAllTimers();
    }
  });
});
