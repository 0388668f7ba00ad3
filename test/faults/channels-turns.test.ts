import http from "node:http";
import type { AddressInfo } from "node:net";
import { createHub } from "@tidewire/core";
import type { Hub, Session, SubscribeOptions } from "@tidewire/core";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient, seeded } from "../delivery/event-client.js";
import { connectAll } from "./channels-tally.js";

const SESSIONS = 2_000;
const PER_TICK = 10;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** @param onSession - Called in the turn in which the session has subscribed. */
async function serve(
  channelsOf: (index: number) => readonly string[],
  onSession: (index: number, session: Session) => void = () => {},
): Promise<{ hub: Hub; clients: EventClient[] }> {
  const hub = createHub();
  const server = http.createServer((request, response) => {
    const index = Number(new URL(request.url ?? "/", "http://localhost").searchParams.get("c"));
    const session = hub.createSession({ request, response });
    void session.subscribe(channelsOf(index));
    onSession(index, session);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: SESSIONS }, (_, i) => new EventClient(port, `/?c=${i}`));
  closers.push(async () => {
    await hub.close();
    for (const client of clients) client.cut("rst");
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { hub, clients };
}

it(
  `all ${SESSIONS} sessions get the ${PER_TICK} events of a tick, in order, tick after tick`,
  { timeout: 60_000 },
  async () => {
    const { hub, clients } = await serve(() => ["news"]);
    await connectAll(clients);
    await eventually("all to be live", () => hub.stats().sessions.live === SESSIONS);
    const expected: string[] = [];
    for (let tick = 0; tick < 10; tick++) {
      for (let i = 0; i < PER_TICK; i++) {
        expected.push(`${tick}.${i}`);
        void hub.publish("news", `${tick}.${i}`);
      }
      // The next tick may come while the last one is still being delivered.
      await turns(tick % 3);
    }
    await eventually("all to have all", () =>
      clients.every(({ events }) => events.length >= expected.length),
    );
    const text = expected.join();
    for (const { events, resets } of clients) {
      expect(events.map(({ data }) => data).join()).toBe(text);
      expect(resets).toEqual([]);
    }
    expect(hub.stats().delivered).toBe(SESSIONS * expected.length);
  },
);

/**
 * One connection of a client, and the events it should get.
 *
 * A turn is the synchronous code of a call with the promise jobs and `nextTick`s it leads to. A request's handler is
 * one turn, and each `setImmediate` of the test another. The test therefore knows for each call whether it belongs to
 * the turn of the first `subscribe`, whose channels take part in the replay, or to a later turn, whose channels begin
 * there.
 */
interface Visit {
  /** Number of the last event that the client had when it connected. */
  readonly since: number;
  /** Events that it may get, oldest first. */
  readonly due: Due[];
  readonly joined: Set<string>;
  /** Numbers in order of arrival. */
  readonly got: number[];
  /** Set once the session exists on the server. */
  session: Session | undefined;
  isOver: boolean;
}

/** An event, and whether a connection has to get it. */
interface Due {
  readonly number: number;
  readonly channel: string;
  /**
   * - `must`: it has to
   * - `unless-cut`: it has to, unless the connection ends first; then it gets nothing after it either
   * - `may`: optional, because its channel was left or has a snapshot that contains it
   */
  kind: "must" | "unless-cut" | "may";
}

it(
  "sessions that join, leave, close and come back between the turns of a delivery get exactly what they should",
  { timeout: 60_000 },
  async () => {
    console.log(`seed ${SEED}: run again with SEED=${SEED}`);
    const random = seeded(SEED);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
    const names = Array.from({ length: 6 }, (_, i) => `channel-${i}`);
    const own = Array.from({ length: SESSIONS }, () => names.filter(() => random() < 0.4)).map(
      (channels) => (channels.length === 0 ? ["channel-0"] : channels),
    );
    const published: { number: number; channel: string }[] = [];
    const visits: Visit[] = [];
    const finished: Visit[] = [];
    const { hub, clients } = await serve(
      (index) => own[index] ?? [],
      (index, session) => {
        const current = visits[index] as Visit;
        current.session = session;
        const first = names.filter(() => random() < 0.1);
        if (first.length === 0) return;
        const join = (): void => {
          void session.subscribe(first, random() < 0.5 ? {} : { latest: 3 });
          joinInFirstTurn(current, first);
        };
        const kind = random();
        if (kind < 0.3) join();
        else if (kind < 0.6) process.nextTick(join);
        else void Promise.resolve().then(join);
      },
    );
    /** Numbers of the events by the ids that `publish` returned. */
    const numbers = new Map<string, number>();

    function visit(index: number): void {
      const client = clients[index] as EventClient;
      const got: number[] = [];
      client.onEvent = ({ id, data }) => {
        // Snapshots and `latest` events of a joined channel have no place in the order.
        if (id !== undefined) got.push(Number(data));
      };
      client.events.length = 0;
      const joined = new Set(own[index]);
      // At first it has no position, and nothing was published.
      const since = client.lastEventId === "" ? 0 : numbers.get(client.lastEventId);
      if (since === undefined) throw new Error(`No event has the id ${client.lastEventId}`);
      const due = published
        .slice(since)
        .filter(({ channel }) => joined.has(channel))
        .map(({ number, channel }): Due => ({ number, channel, kind: "must" }));
      visits[index] = { since, due, joined, got, session: undefined, isOver: false };
    }

    /** Its replay includes these channels. */
    function joinInFirstTurn({ since, due, joined }: Visit, channels: readonly string[]): void {
      const added = new Set(channels.filter((channel) => !joined.has(channel)));
      for (const channel of added) joined.add(channel);
      for (const { number, channel } of published.slice(since)) {
        if (added.has(channel)) due.push({ number, channel, kind: "must" });
      }
      due.sort((left, right) => left.number - right.number);
      done.joinsInFirstTurn += 1;
    }

    function publishTick(): void {
      for (let i = 0; i < PER_TICK; i++) {
        const channel = pick(names);
        const number = published.length + 1;
        published.push({ number, channel });
        void hub.publish(channel, String(number)).then(({ id }) => numbers.set(id, number));
        for (const { due, joined, isOver } of visits) {
          if (!isOver && joined.has(channel)) due.push({ number, channel, kind: "must" });
        }
      }
    }

    /** Events it has not received yet become optional. */
    function leave({ due, joined, got }: Visit, channels: readonly string[]): void {
      const last = got.at(-1) ?? 0;
      for (const channel of channels) joined.delete(channel);
      for (const event of due) {
        if (event.number > last && channels.includes(event.channel)) event.kind = "may";
      }
    }

    /** It gets pending events up to some point, and nothing after that. */
    function end(current: Visit): void {
      const last = current.got.at(-1) ?? 0;
      current.isOver = true;
      for (const event of current.due) {
        if (event.number > last && event.kind === "must") event.kind = "unless-cut";
      }
    }

    const done = { joinsInFirstTurn: 0, joins: 0, leaves: 0, closes: 0, cuts: 0, returns: 0 };

    /** Options for a joined channel: its state may arrive only turns later. */
    function greeting({ due }: Visit, channels: readonly string[]): SubscribeOptions {
      const kind = random();
      if (kind < 0.4) return {};
      if (kind < 0.6) return { latest: 3 };
      const wait = kind < 0.8 ? 0 : Math.floor(random() * 5);
      const joinedAt = published.length;
      return {
        snapshot() {
          // It contains events published since the call, if it is taken later.
          for (const event of due) {
            if (event.number > joinedAt && channels.includes(event.channel)) event.kind = "may";
          }
          const state = [{ data: "state" }];
          return kind < 0.8 ? state : turns(wait).then(() => state);
        },
      };
    }

    function disturb(): void {
      const index = Math.floor(random() * SESSIONS);
      const current = visits[index] as Visit;
      const client = clients[index] as EventClient;
      if (current.isOver) {
        finished.push(current);
        client.cut("fin");
        visit(index);
        client.connect();
        done.returns += 1;
        return;
      }
      if (current.session === undefined) return;
      const dice = random();
      if (dice < 0.4) {
        const channels = names.filter(() => random() < 0.3);
        const added = channels.filter((channel) => !current.joined.has(channel));
        if (channels.length === 0) return;
        void current.session.subscribe(channels, greeting(current, added));
        for (const channel of channels) current.joined.add(channel);
        done.joins += 1;
      } else if (dice < 0.8) {
        const channels = [...current.joined].filter(() => random() < 0.5);
        if (channels.length === 0) return;
        current.session.unsubscribe(channels);
        leave(current, channels);
        done.leaves += 1;
      } else {
        end(current);
        if (dice < 0.9) {
          current.session.close();
          done.closes += 1;
        } else {
          client.cut(random() < 0.5 ? "fin" : "rst");
          done.cuts += 1;
        }
      }
    }

    for (let i = 0; i < SESSIONS; i++) visit(i);
    await connectAll(clients);
    await eventually("all to be live", () => hub.stats().sessions.live === SESSIONS);
    await eventually("all to have a position", () =>
      clients.every(({ lastEventId }) => lastEventId !== ""),
    );
    // The position that they got before anything was published.
    for (const { lastEventId } of clients) numbers.set(lastEventId, 0);
    for (let round = 0; round < 40; round++) {
      publishTick();
      const count = Math.floor(random() * 12);
      for (let turn = 0; turn < count; turn++) {
        await turns(1);
        for (let i = 0; i < 10; i++) disturb();
      }
      // Sometimes everything is delivered first, so that the sessions are live at the next tick.
      if (random() < 0.3) await eventually("a lull", () => hub.stats().sessions.behind === 0);
    }
    for (const [index, current] of visits.entries()) {
      if (!current.isOver) continue;
      finished.push(current);
      clients[index]?.cut("fin");
      visit(index);
      clients[index]?.connect();
      done.returns += 1;
    }
    publishTick();

    const faults = (): string[] =>
      [...visits, ...finished].flatMap((current) => faultOf(current) ?? []).slice(0, 5);
    await eventually(
      () => `all to have what they must have: ${faults().join("; ")}`,
      () =>
        visits.every(
          ({ due, got }) =>
            (due.findLast(({ kind }) => kind === "must")?.number ?? 0) <= (got.at(-1) ?? 0),
        ),
    );
    // Gives surplus events time to arrive.
    await turns(50);
    console.log(
      `${published.length} events, ${JSON.stringify(done)}, ${hub.stats().delivered} delivered, ${hub.stats().replays} replays`,
    );
    expect(faults()).toEqual([]);
    expect(clients.flatMap(({ resets }) => resets)).toEqual([]);
    expect(Math.min(...Object.values(done))).toBeGreaterThan(20);
  },
);

/** @returns The fault in what a connection got; `undefined` if there is none. */
function faultOf({ due, got }: Visit): string | undefined {
  let next = 0;
  let end: number | undefined;
  for (const { number, kind } of due) {
    if (got[next] === number) {
      if (end !== undefined) return `got ${number} but not ${end} before it`;
      next += 1;
    } else if (kind === "must") {
      return `did not get ${number}, but ${got.slice(next, next + 5).join()}`;
    } else if (kind === "unless-cut") {
      end ??= number;
    }
  }
  return next === got.length
    ? undefined
    : `got ${got.slice(next, next + 5).join()}, which it should not`;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
