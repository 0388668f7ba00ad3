import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient, seeded } from "./event-client.js";
import { createFollower } from "./follow.mjs";
import type { Follower } from "./follow.mjs";
import { listen } from "./listen.js";

const EVENTS = 20_000;
const PER_SECOND = 2_000;
const CLIENTS = 25;
const CUTS = 500;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(
  channelsOf: (index: number) => string[],
): Promise<{ hub: Hub; follower: Follower; port: number }> {
  const hub = createHub();
  const follower = createFollower(hub);
  const server = await listen(hub, (request, response) => {
    const index = Number(new URL(request.url ?? "/", "http://localhost").searchParams.get("c"));
    follower.follow(request, response, channelsOf(index));
  });
  closers.push(() => server.close());
  return { hub, follower, port: server.port };
}

/** Publishes numbered events at a steady rate. */
async function publish(
  hub: Hub,
  channelOf: (index: number) => string,
  random: () => number,
): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < EVENTS;) {
    const due = Math.min(EVENTS, ((performance.now() - start) / 1_000) * PER_SECOND);
    for (; sent < due; sent++) {
      const channel = channelOf(sent);
      void hub.publish(channel, {
        event: "n",
        data: `${sent} ${channel} ${"x".repeat(Math.floor(random() * 200))}`,
      });
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

/** Cuts clients at random moments and in random ways, and lets them reconnect. */
async function torment(clients: readonly EventClient[], random: () => number): Promise<void> {
  const perCut = (EVENTS / PER_SECOND / CUTS) * 1_000;
  for (let cut = 0; cut < CUTS; cut++) {
    await new Promise((resolve) => {
      setTimeout(resolve, perCut * random() * 2);
    });
    const client = clients[Math.floor(random() * clients.length)] as EventClient;
    const how = random() < 0.5 ? "fin" : "rst";
    if (random() < 0.4) {
      // In the middle of a frame: part of the next chunk arrives, the rest never does.
      client.onChunk = (chunk) => {
        client.onChunk = (same) => same;
        const part = chunk.subarray(0, Math.floor(random() * chunk.length));
        setImmediate(() => {
          client.cut(how);
          client.connect();
        });
        client.pause();
        return part;
      };
    } else {
      client.cut(how);
      setTimeout(() => client.connect(), random() * 50);
    }
  }
}

it.each([
  { name: "one channel", channels: 1, slow: 0 },
  { name: "20 channels on one stream and one last event ID", channels: 20, slow: 0 },
  { name: "20 channels with slow readers among the clients", channels: 20, slow: 5 },
])(
  "each client gets exactly the published events, in order, through 500 cuts: $name",
  { timeout: 60_000 },
  async ({ channels, slow }) => {
    console.log(`seed ${SEED}: run again with SEED=${SEED}`);
    const random = seeded(SEED);
    const names = Array.from({ length: channels }, (_, i) => `channel-${i}`);
    // Each client has its own set of channels; the first has all of them.
    const sets = Array.from({ length: CLIENTS }, (_, i) =>
      names.filter((_name, n) => i === 0 || channels === 1 || (n + i) % 3 !== 0),
    );
    const { hub, follower, port } = await serve((index) => sets[index] as string[]);
    const clients = sets.map((_, i) => new EventClient(port, `/?c=${i}`));
    for (const client of clients) client.connect();
    await eventually("all clients to be live", () => follower.stats().sessions.live === CLIENTS);
    const slowReaders = clients.slice(0, slow);
    const dawdle = setInterval(() => {
      for (const client of slowReaders) {
        if (random() < 0.5) client.pause();
        else client.resume();
      }
    }, 100);

    const channelOf = (index: number): string => names[(index * 7) % channels] as string;
    await Promise.all([publish(hub, channelOf, random), torment(clients, random)]);
    clearInterval(dawdle);
    for (const client of clients) client.resume();

    const numbers = Array.from({ length: EVENTS }, (_, i) => i);
    const expected = sets.map((set) => numbers.filter((n) => set.includes(channelOf(n))));
    const faults = (): string[] =>
      clients.flatMap(({ events }, i) => {
        const received = events.map(({ data }) => Number.parseInt(data, 10));
        const fault = firstFault(received, expected[i] ?? []);
        return fault === "none" ? [] : [`client ${i} ${fault}`];
      });
    await eventually(
      () => `all clients to have all: ${faults().slice(0, 3).join("; ")}`,
      () => clients.every(({ events }, i) => events.length >= (expected[i]?.length ?? 0)),
      20_000,
    );
    expect(faults()).toEqual([]);
    expect(clients.flatMap(({ resets }) => resets)).toEqual([]);
    const reconnects = clients.reduce((sum, { connections }) => sum + connections - 1, 0);
    console.log(`${reconnects} reconnections, ${follower.stats().replays} replays`);
    // A cut does not count if its client was still reconnecting.
    expect(reconnects).toBeGreaterThan(CUTS * 0.75);
  },
);

/** Describes the first difference between two lists, more readable than a diff of thousands of numbers. */
function firstFault(received: readonly number[], expected: readonly number[]): string {
  const at = expected.findIndex((value, index) => received[index] !== value);
  if (at === -1)
    return received.length === expected.length
      ? "none"
      : `${received.length - expected.length} too many`;
  return `at ${at}: expected ${expected.slice(at, at + 5).join()}, got ${received.slice(at, at + 5).join()} (${received.length} of ${expected.length})`;
}
