// Chaos on one node: channel sets change continually, clients stall, are cut and return, and an oracle checks each
// event. SEED=… repeats one chapter, EVENTS=… sets how many events to check, and WITHOUT=cors,latest removes features,
// to find out which of them a fault needs.
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import fs from "node:fs";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { createHub } from "@tidewire/core";
import type { Session, SubscribeOptions } from "@tidewire/core";
import { expect, it } from "vitest";
import { seeded } from "../delivery/event-client.js";
import { createFollower } from "../delivery/follow.mjs";
import { ChaosClient } from "./chaos-client.js";
import { Ledger, Visit } from "./oracle.js";
import type { Call, Moment, Reset, Take } from "./oracle.js";

const SEED = process.env["SEED"];
const EVENTS = Number(
  process.env["EVENTS"] ?? (process.env["SOAK"] === "full" ? 5_000_000 : 120_000),
);
/** Approximate number of events per chapter. Each chapter has its own hub. */
const EVENTS_PER_CHAPTER = 20_000;
const CLIENTS = 40;
/** Features that a chapter may have, each at random. */
const FEATURES = [
  "authorize",
  "bulk",
  "complete",
  "cors",
  "cuts",
  "joins",
  "latest",
  "leaves",
  "snapshots",
  "stalls",
] as const;
/** Features excluded from all chapters, to find out which of them a fault needs. */
const WITHOUT = (process.env["WITHOUT"] ?? "").split(",");
const CHANNELS = Array.from({ length: 8 }, (_, i) => `channel-${i}`);

interface Chapter {
  checked: number;
  readonly counts: Record<string, number>;
  readonly faults: { readonly kind: string; readonly text: string }[];
}

/** A client with its state in the oracle and on the server. */
interface Member {
  readonly client: ChaosClient;
  /** Whether it is served by a reader instead of a session. */
  readonly isReader: boolean;
  visit: Visit;
  /** Set once the request has reached the server. */
  session: Session | undefined;
  request: IncomingMessage | undefined;
  response: ServerResponse | undefined;
  /** Calls that `authorize` has not allowed yet, by channel. */
  pending: Map<string, Pending>;
  isConnected: boolean;
  isStalled: boolean;
  /** Turn of the first call of `subscribe` on this connection. */
  firstTurn: number | undefined;
}

interface Pending {
  readonly allowed: Promise<void>;
  readonly left: Set<string>;
}

/** Runs one chapter. */
async function run(seed: number): Promise<Chapter> {
  const random = seeded(seed);
  const chance = (share: number): boolean => random() < share;
  const below = (count: number): number => Math.floor(random() * count);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const some = (share: number): string[] => CHANNELS.filter(() => chance(share));

  const maxEvents = pick([20, 100, 400, 4_000]);
  const has = Object.fromEntries(
    FEATURES.map((feature) => [feature, chance(0.5) && !WITHOUT.includes(feature)]),
  ) as Record<(typeof FEATURES)[number], boolean>;
  const ledger = new Ledger();
  const takes: { readonly take: Take; readonly visit: Visit }[] = [];
  const chapter: Chapter = {
    checked: 0,
    counts: {
      published: 0,
      joins: 0,
      joinsInFirstTurn: 0,
      leaves: 0,
      snapshots: 0,
      stalls: 0,
      blocked: 0,
      cuts: 0,
      closes: 0,
      completes: 0,
      returns: 0,
    },
    faults: [],
  };
  const count = (name: string): void => {
    chapter.counts[name] = (chapter.counts[name] ?? 0) + 1;
  };
  const fault = (kind: string, text: string): void => {
    const features = FEATURES.filter((feature) => has[feature]).join();
    chapter.faults.push({ kind, text: `SEED=${seed} (${features}; ${maxEvents}): ${text}` });
  };

  const hub = createHub({
    heartbeatMs: 1_000,
    retention: { maxEvents },
    onError: (error, { stage }) => fault("onError", `${stage}: ${String(error)}`),
    ...(has.cors && {
      cors: {
        origin: (_origin, done) => {
          const wait = chance(0.4) ? 0 : below(8);
          if (wait === 0) done(null, true);
          else void turns(wait).then(() => done(null, true));
        },
      },
    }),
    ...(has.authorize && {
      authorize: (channel, { request }) => {
        const member = memberOf(request as IncomingMessage);
        const allowed =
          member.request === request ? member.pending.get(channel)?.allowed : undefined;
        return allowed?.then(() => true) ?? true;
      },
    }),
  });

  const follower = createFollower(hub, 1_000);
  const members: Member[] = [];
  /** Counts the turns in which `subscribe` is called. */
  let turn = 0;
  const memberOf = (request: IncomingMessage): Member =>
    members[
      Number(new URL(request.url ?? "/", "http://localhost").searchParams.get("c"))
    ] as Member;

  async function publish(): Promise<void> {
    const { number, channel } = ledger.publish(pick(CHANNELS));
    const length = has.bulk ? pick([20, 200, 4_000, 30_000]) : pick([20, 100]);
    const data = `${number} ${"x".repeat(length)}`;
    count("published");
    const { id } = await hub.publish(channel, { event: "n", data });
    ledger.name(id, number);
  }

  /** Calls `subscribe`. */
  function join(member: Member): void {
    const { visit, session, pending } = member;
    if (session === undefined || session.state === "closed") return;
    const isSlow = has.authorize && chance(0.5);
    const free = some(0.3).filter((channel) => !pending.has(channel));
    const added = free.filter((channel) => !visit.has(channel));
    // Joined channels may be named again, unless they could be left before the answer.
    const channels = isSlow ? added : free;
    if (channels.length === 0) return;
    const kind = random();
    const hasSnapshot = has.snapshots && kind > 0.75;
    const isFirst = member.firstTurn === undefined;
    member.firstTurn ??= turn;
    const isFirstTurn = member.firstTurn === turn;
    const isReplayed = isFirstTurn && visit.since !== undefined && (isFirst || !hasSnapshot);
    const call: Call = {
      latest: has.latest && kind < 0.25 ? 1 + below(5) : 0,
      hasSnapshot,
      isReplayed,
      isFirst,
      isStateDue: hasSnapshot && !isReplayed,
      take: undefined,
      states: 0,
      resetsBefore: visit.resets,
    };
    let options: SubscribeOptions = {};
    if (call.latest > 0) options = { latest: call.latest };
    else if (call.hasSnapshot) options = { snapshot: snapshotOf(member, call) };

    if (isSlow) {
      const left = new Set<string>();
      const allowed = turns(1 + below(8)).then(() => {
        for (const channel of added) pending.delete(channel);
        if (!visit.isOver)
          visit.join(
            added.filter((channel) => !left.has(channel)),
            call,
            momentOf(member),
          );
      });
      for (const channel of added) pending.set(channel, { allowed, left });
    } else {
      visit.join(added, call, momentOf(member));
    }
    session.subscribe(channels, options).catch((error: unknown) => {
      fault("subscribe rejects", String(error));
    });
    count(isFirstTurn ? "joinsInFirstTurn" : "joins");
  }

  function momentOf(member: Member): Moment {
    return { position: ledger.position, bytes: writtenBytes(member) };
  }

  function snapshotOf(member: Member, call: Call): NonNullable<SubscribeOptions["snapshot"]> {
    const { visit } = member;
    return () => {
      const take = visit.take(call, momentOf(member));
      const index = takes.push({ take, visit }) - 1;
      count("snapshots");
      const messages = [{ event: "state", data: String(index) }];
      return chance(0.4) ? messages : turns(1 + below(15)).then(() => messages);
    };
  }

  /** Calls `unsubscribe`. */
  function leave(member: Member, share: number): void {
    const { visit, session, pending } = member;
    if (session === undefined || session.state === "closed") return;
    const channels = [...visit.channels, ...pending.keys()].filter(() => chance(share));
    if (channels.length === 0) return;
    for (const channel of channels) {
      pending.get(channel)?.left.add(channel);
      pending.delete(channel);
    }
    visit.leave(channels, limitOf(member), momentOf(member));
    session.unsubscribe(channels);
    count("leaves");
  }

  /** Serves a client by a reader, whose channels stay the same. */
  function read(member: Member, request: IncomingMessage, response: ServerResponse): void {
    const { visit } = member;
    Object.assign(member, { request, response });
    const channels = some(0.3);
    if (channels.length === 0) channels.push(pick(CHANNELS));
    const isReplayed = visit.since !== undefined;
    const latest = has.latest && !isReplayed && chance(0.3) ? 1 + below(5) : 0;
    const call: Call = {
      latest,
      hasSnapshot: false,
      isReplayed,
      isFirst: true,
      isStateDue: false,
      take: undefined,
      states: 0,
      resetsBefore: 0,
    };
    visit.join(channels, call, { position: ledger.position, bytes: 0 });
    void follower.read(request, response, channels, latest);
    count("readers");
  }

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    turn += 1;
    const member = memberOf(request);
    const { visit } = member;
    if (member.isReader) return read(member, request, response);
    const session = hub.createSession({ request, response });
    Object.assign(member, { session, request, response });
    session.onClose((reason) => {
      if (visit.isOver || reason === "client" || reason === "ended" || reason === "completed")
        return;
      fault("closed", `a session was closed with ${reason}`);
    });
    join(member);
    for (let call = 0; call < 3; call++) {
      // These calls belong to the turn of the first call: they are made at once, or in its promise jobs.
      const act = pick([
        () => join(member),
        () => join(member),
        () => (has.leaves ? leave(member, 0.2) : undefined),
        // Before and after the answer of `authorize` cannot be distinguished within a turn.
        () => (has.authorize ? undefined : publish()),
      ]);
      const kind = random();
      if (kind < 0.2) act();
      else if (kind < 0.35) process.nextTick(act);
      else if (kind < 0.5) void Promise.resolve().then(act);
    }
  };

  const overTcp = http.createServer(listener);
  const overPipe = http.createServer(listener);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-soak-"));
  // A Unix socket holds less than a tenth of what a TCP connection may, so stalled clients are soon blocked.
  const pipe = path.join(directory, "server");
  await Promise.all([
    new Promise<void>((resolve) => overTcp.listen(0, "127.0.0.1", resolve)),
    new Promise<void>((resolve) => overPipe.listen(pipe, resolve)),
  ]);
  const { port } = overTcp.address() as AddressInfo;

  for (let index = 0; index < CLIENTS; index++) {
    const client = new ChaosClient(index % 2 === 0 ? { port, host: "127.0.0.1" } : { path: pipe }, {
      block: ({ event, id, data }, at) => {
        const { visit } = member;
        if (event === "n") {
          visit.event(Number.parseInt(data, 10), id, at);
        } else if (event === "state") {
          const taken = takes[Number(data)];
          if (taken?.visit === visit) visit.state(taken.take, at);
          else fault("state", "a client got the snapshot of another");
        } else if (event === "sse-cursor") {
          visit.cursor(id ?? "", at);
        } else if (event === "sse-reset") {
          visit.reset(JSON.parse(data) as Reset, id ?? "", at, { latest: ledger.position });
          count(`resets ${(JSON.parse(data) as Reset).reason}`);
        } else if (event === "sse-complete") {
          visit.completed(at);
          client.lastEventId = "";
        }
      },
      received: (bytes) => member.visit.received(bytes),
      ended: () => end(member),
    });
    const member: Member = {
      client,
      isReader: index % 4 === 3,
      visit: new Visit(ledger, maxEvents, undefined),
      session: undefined,
      request: undefined,
      response: undefined,
      pending: new Map(),
      isConnected: false,
      isStalled: false,
      firstTurn: undefined,
    };
    members.push(member);
  }

  function connect(member: Member): void {
    const { client } = member;
    const since = client.lastEventId === "" ? undefined : ledger.numberOf(client.lastEventId);
    Object.assign(member, {
      visit: new Visit(ledger, maxEvents, since),
      session: undefined,
      request: undefined,
      response: undefined,
      pending: new Map(),
      isConnected: true,
      isStalled: false,
      firstTurn: undefined,
    });
    client.connect(`/?c=${members.indexOf(member)}`);
    count("returns");
  }

  function end(member: Member): void {
    if (!member.isConnected) return;
    member.isConnected = false;
    const { visit } = member;
    visit.end();
    chapter.checked += visit.checked;
    if (visit.fault === undefined) return;
    fault(visit.fault.kind, `${visit.fault.text}\n    ${visit.story.slice(-25).join("\n    ")}`);
  }

  function disturb(): void {
    const member = pick(members);
    const { client, session, visit } = member;
    if (!member.isConnected) {
      if (chance(0.5)) connect(member);
      return;
    }
    if (member.request === undefined) return;
    if ((session?.bufferedBytes ?? 0) > 0) count("blocked");
    const dice = random();
    if (dice < 0.35) {
      if (has.joins) join(member);
    } else if (dice < 0.65) {
      if (has.leaves) leave(member, 0.4);
    } else if (dice < 0.75) {
      if (!has.stalls) return;
      if (member.isStalled) client.goOn();
      else client.stall();
      member.isStalled = !member.isStalled;
      count("stalls");
    } else if (dice < 0.84 && !has.cuts) {
      return;
    } else if (dice < 0.79) {
      client.cut();
      end(member);
      count("cuts");
    } else if (dice < 0.82) {
      if (!member.isStalled) client.cutWithin(below(65_536));
      count("cuts");
    } else if (dice < 0.84 && session !== undefined) {
      session.close();
      count("closes");
    } else if (
      dice < 0.85 &&
      has.complete &&
      session !== undefined &&
      visit.completedAt === undefined
    ) {
      visit.completedAt = ledger.position;
      void session.complete();
      count("completes");
    }
  }

  async function quiet(): Promise<void> {
    for (const member of members) {
      if (member.isStalled) member.client.goOn();
      member.isStalled = false;
    }
    const until = performance.now() + 20_000;
    const isEnding = ({ visit, session }: Member): boolean =>
      session?.state === "closed" || visit.completedAt !== undefined;
    const isQuiet = (member: Member): boolean =>
      !member.isConnected ||
      (member.request !== undefined &&
        member.pending.size === 0 &&
        !isEnding(member) &&
        member.visit.missing() === undefined);
    while (!members.every(isQuiet) && performance.now() < until) await turns(1);
    for (const member of members) {
      if (!member.isConnected || member.visit.fault !== undefined) continue;
      if (isEnding(member)) fault("no end", "a stream that was closed or completed does not end");
      else member.visit.settle();
    }
  }

  // The id of the log's beginning belongs to no client, and no client may get it.
  await publish();
  for (const member of members) connect(member);
  const isSound = (): boolean =>
    chapter.faults.length === 0 && members.every(({ visit }) => visit.fault === undefined);
  // A chapter in which most clients are stalled or gone checks fewer events.
  for (let round = 0; round < 4_000 && isSound(); round++) {
    if (chapter.checked + sum(members) >= EVENTS_PER_CHAPTER) break;
    for (let left = below(12); left > 0; left--) void publish();
    for (let more = below(4); more > 0; more--) {
      await turns(1);
      turn += 1;
      for (let left = below(8); left > 0; left--) disturb();
    }
    await turns(1);
    if (chance(0.02)) await quiet();
  }
  for (const member of members) if (!member.isConnected) connect(member);
  await quiet();
  for (const member of members) {
    member.client.cut();
    end(member);
  }
  await hub.close();
  for (const server of [overTcp, overPipe]) {
    server.closeAllConnections();
    server.close();
  }
  fs.rmSync(directory, { recursive: true, force: true });
  return chapter;
}

function sum(members: readonly Member[]): number {
  return members.reduce(
    (all, { isConnected, visit }) => all + (isConnected ? visit.checked : 0),
    0,
  );
}

/** @returns Bytes of the connection that were written or are held by the outlet: at least this many will arrive. */
function writtenBytes({ session, request, response }: Member): number {
  const socket = request?.socket;
  if (session === undefined || socket === undefined || response?.headersSent !== true) return 0;
  return socket.bytesWritten - socket.writableLength + session.bufferedBytes;
}

/** @returns The last byte at which a block written before now can begin. */
function limitOf(member: Member): number {
  if (member.response?.headersSent !== true) {
    return (member.session?.bufferedBytes ?? 0) === 0 ? 0 : Infinity;
  }
  // Adds the chunk framing that the response holds back.
  return writtenBytes(member) + 16;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

it(
  `${EVENTS} events on one node, whose channel sets change at every moment, arrive once and in order or are reset`,
  { timeout: 0 },
  async () => {
    const total = { checked: 0, chapters: 0 };
    const counts: Record<string, number> = {};
    const kinds: Record<string, number> = {
      hole: 0,
      double: 0,
      disorder: 0,
      "reset without a cause": 0,
    };
    const faults: string[] = [];
    const first = Number(SEED ?? Math.floor(Math.random() * 1e9));
    const start = performance.now();
    while (total.checked < EVENTS) {
      const chapter = await run(first + total.chapters);
      total.checked += chapter.checked;
      total.chapters += 1;
      for (const [name, count] of Object.entries(chapter.counts)) {
        counts[name] = (counts[name] ?? 0) + count;
      }
      for (const { kind, text } of chapter.faults) {
        kinds[kind] = (kinds[kind] ?? 0) + 1;
        faults.push(`${kind}: ${text}`);
      }
      if (SEED !== undefined) break;
    }
    console.log(
      `seeds ${first} to ${first + total.chapters - 1}: ${total.checked} events checked in ${total.chapters} chapters and ${((performance.now() - start) / 1_000).toFixed(0)} s, ${JSON.stringify(counts)}, faults ${JSON.stringify(kinds)}`,
    );
    expect(faults.slice(0, 20)).toEqual([]);
  },
);
