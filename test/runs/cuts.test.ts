// Followers that are cut at random bytes and come back, runs that end in every way: each client gets its run's items once
// and in order, up to its end. SEED=… repeats one round, ROUNDS=… sets how many there are.
import http from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";
import type { Outcome } from "@tidewire/runs";
import { expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { EventClient, seeded } from "../delivery/event-client.js";

const SEED = process.env["SEED"];
const ROUNDS = SEED === undefined ? Number(process.env["ROUNDS"] ?? 8) : 1;
const KEYS = 4;
const CLIENTS = 24;
/** Random times at which a client is cut, on average, while a run goes on. */
const CUTS = 6;

/** A client and the run that it follows. */
interface Follower {
  readonly key: string;
  readonly client: EventClient;
  cuts: number;
}

/** One round: some runs, many followers. @returns How many items were checked. */
async function round(seed: number): Promise<{ items: number; cuts: number }> {
  const random = seeded(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const runs = createRuns({ maxBytes: 50_000_000, onError: () => {} });
  const hub = createHub({ reconnectionTimeMs: false });
  const server = http.createServer((request, response) => {
    const key = decodeURIComponent((request.url ?? "").slice(1));
    void runs.follow(key, hub.createSession({ request, response }), {
      end: ({ outcome }) => ({ event: "end", data: outcome }),
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  /** The items that each run has produced: the tape as it must be. */
  const tapes = new Map<string, string[]>();
  const outcomes = new Map<string, Outcome>();
  for (let index = 0; index < KEYS; index++) {
    const key = `run ${index}`;
    const tape: string[] = [];
    tapes.set(key, tape);
    const outcome = (["done", "failed", "stopped"] as const)[below(3)]!;
    outcomes.set(key, outcome);
    const count = 40 + below(120);
    await runs.start(key, async function* ({ signal }) {
      for (let number = 1; number <= count; number++) {
        if (random() < 0.5) await delay(below(6));
        if (signal.aborted) return;
        const text = `${key} ${number} ${"x".repeat(random() < 0.05 ? 60_000 : below(50))}\n`;
        tape.push(text);
        yield text;
      }
      if (outcome === "failed") throw new Error("no");
      if (outcome === "stopped") await runs.stop(key);
    });
  }

  const followers: Follower[] = [];
  const clients = Array.from({ length: CLIENTS }, async (_, index) => {
    const key = `run ${index % KEYS}`;
    await delay(below(150));
    const client = new EventClient(port, `/${encodeURIComponent(key)}`);
    const follower = { key, client, cuts: 0 };
    followers.push(follower);
    const isOver = (): boolean => client.lastEventId === "~end";
    const cutsLeft = below(2 * CUTS);
    while (!isOver()) {
      const isLast = follower.cuts >= cutsLeft;
      const room = { bytes: isLast ? Infinity : below(40_000) };
      // A cut in the middle of a chunk: the client has parsed part of it.
      client.onChunk = (chunk) => {
        const part = chunk.subarray(0, room.bytes);
        room.bytes -= part.length;
        if (room.bytes <= 0) {
          setImmediate(() => {
            // A busy loop can have begun the next connection in between, which this cut is not for.
            if (client.connections === connection) client.cut(below(2) === 0 ? "rst" : "fin");
          });
        }
        return part;
      };
      client.connect();
      const connection = client.connections;
      if (random() < 0.2) client.pause();
      const until = performance.now() + (isLast ? 10_000 : 1 + below(60));
      while (!isOver() && room.bytes > 0 && performance.now() < until) {
        await delay(2);
        if (random() < 0.3) client.resume();
      }
      client.resume();
      if (isOver()) break;
      if (isLast) throw new Error(`SEED=${seed}: no end for ${key}`);
      client.cut(below(2) === 0 ? "rst" : "fin");
      follower.cuts += 1;
    }
    client.cut("fin");
  });
  await within(`the clients of SEED=${seed}`, Promise.all(clients), 15_000);

  let items = 0;
  for (const { key, client } of followers) {
    const tape = tapes.get(key)!;
    const data = client.events.map((event) => event.data);
    expect(data.pop(), `SEED=${seed}`).toBe(outcomes.get(key));
    // The line break at the end of each item is part of its data.
    expect(data, `SEED=${seed}: ${key}`).toEqual(tape);
    const numbers = client.events.slice(0, -1).map(({ id }) => Number(id?.split(".").at(-1)));
    expect(numbers).toEqual(tape.map((_, index) => index + 1));
    items += data.length;
  }
  // A client that comes back after the end gets 204, and no session stays open.
  const late = new EventClient(port, "/run%200");
  late.lastEventId = "~end";
  late.connect();
  await eventually("an answer", () => late.statuses.length > 0);
  expect(late.statuses).toEqual(["HTTP/1.1 204 No Content"]);
  late.cut("fin");
  await eventually("the sessions to close", () => hub.sessionCount === 0);
  await runs.close();
  await hub.close();
  server.closeAllConnections();
  server.close();
  return { items, cuts: followers.reduce((sum, { cuts }) => sum + cuts, 0) };
}

it(
  "Every follower gets the items of its run once and in order, up to its end, whatever cuts it off",
  async () => {
    const first = Number(SEED ?? Math.floor(Math.random() * 1e9));
    let items = 0;
    let cuts = 0;
    for (let index = 0; index < ROUNDS; index++) {
      const counts = await round(first + index);
      items += counts.items;
      cuts += counts.cuts;
    }
    console.error(`seeds ${first} to ${first + ROUNDS - 1}: ${items} items checked, ${cuts} cuts`);
    expect(cuts).toBeGreaterThan(ROUNDS * CLIENTS);
  },
  ROUNDS * 20_000,
);
