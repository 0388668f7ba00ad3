// Chaos on three nodes with a failing Redis: channel sets change, clients stall, are cut and return to another node,
// and nodes are killed. SEED=… repeats the choice of faults, EVENTS=… sets how many events to check, and
// WITHOUT=latest,flushes removes features. Calls, cuts and the machine's timing differ in each run.
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { EventSourceMessage } from "eventsource-parser";
import { afterEach, expect, it } from "vitest";
import { within } from "../client.js";
import { seeded } from "../delivery/event-client.js";
import { RedisServer, describeWithRedis } from "../redis/redis-server.js";
import { ChaosClient } from "./chaos-client.js";
import { Ledger, Visit } from "./oracle.js";
import type { Call, Moment, Reset, Take } from "./oracle.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
const EVENTS = Number(
  process.env["EVENTS"] ?? (process.env["SOAK"] === "full" ? 2_000_000 : 100_000),
);
/** Approximate number of events per chapter. Each chapter has its own Redis and nodes. */
const EVENTS_PER_CHAPTER = 150_000;
const CLIENTS = 60;
const NODES = 3;
/** Events that each node publishes per second. */
const PER_SECOND = 200;
const FEATURES = [
  "bulk",
  "cuts",
  "flushes",
  "kills",
  "latest",
  "outages",
  "pauses",
  "snapshots",
  "stalls",
] as const;
const WITHOUT = (process.env["WITHOUT"] ?? "").split(",");
const CHANNELS = Array.from({ length: 8 }, (_, i) => `channel-${i}`);

/** Data of one connection. */
interface Visited {
  /** The id with which the client connected. */
  readonly since: string;
  readonly blocks: {
    readonly block: EventSourceMessage;
    readonly at: number;
    /** Time of arrival, in milliseconds since 1970. */
    readonly time: number;
  }[];
  /** Number of parsed bytes of the connection. */
  received: number;
  isOver: boolean;
}

/** A client and its connection. */
interface Member {
  readonly client: ChaosClient;
  /** Whether it is served by a reader instead of a session. */
  readonly isReader: boolean;
  visited: Visited | undefined;
  isStalled: boolean;
}

/** Details of a node's `subscribe` call. */
type Made = Pick<Call, "latest" | "hasSnapshot" | "isReplayed" | "isFirst">;

/** A loss of all data in Redis. */
interface Flush {
  readonly time: number;
  /** Id of the mark left by a node: every position before it is void. */
  readonly mark: string;
}

type Line = readonly [kind: string, ...values: unknown[]];

/** A node and its journal. */
class ChaosNode {
  readonly pipe: string;
  port = 0;
  isUp = false;
  readonly #journal: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  #read = 0;
  #rest = "";

  constructor(directory: string, name: string, options: object) {
    this.pipe = path.join(directory, name);
    this.#journal = path.join(directory, `${name}.journal`);
    const parts = { ...options, name, pipe: this.pipe, journal: this.#journal };
    this.#child = fork(
      fileURLToPath(new URL("chaos-node.mjs", import.meta.url)),
      [JSON.stringify(parts)],
      { execArgv: ["--unhandled-rejections=strict", "--trace-warnings"] },
    );
    this.#exit = once(this.#child, "exit");
  }

  async start(): Promise<void> {
    const [{ port }] = (await within("a node to start", once(this.#child, "message"), 20_000)) as [
      { port: number },
    ];
    this.port = port;
    this.isUp = true;
  }

  /** Stops publishing and making calls; settles when every publish has. */
  async stop(): Promise<void> {
    const stopped = once(this.#child, "message");
    this.#child.send("stop");
    await within("publishes to settle", stopped);
  }

  /** Idempotent. */
  async kill(): Promise<void> {
    this.isUp = false;
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** @returns Lines added to the journal since the last call. */
  news(): Line[] {
    if (!fs.existsSync(this.#journal)) return [];
    const file = fs.openSync(this.#journal, "r");
    const size = fs.fstatSync(file).size - this.#read;
    const bytes = Buffer.alloc(size);
    fs.readSync(file, bytes, 0, size, this.#read);
    fs.closeSync(file);
    this.#read += size;
    const lines = (this.#rest + bytes.toString("latin1")).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => JSON.parse(line) as Line);
  }
}

/** The content of all journals, and a ledger of it in log order. */
class History {
  ledger: Ledger = new Ledger();
  /** Actions of the nodes on each connection. */
  readonly calls: Map<number, Line[]> = new Map();
  readonly faults: string[] = [];
  readonly counts: { [name: string]: number } = {};
  /** Ids of all entries; events with their channel and key. */
  readonly #entries: Map<string, readonly [channel: string, key: string] | undefined> = new Map();
  readonly #ids: Map<string, string> = new Map();
  readonly #numbers: Map<string, number> = new Map();
  readonly #rejected: Set<string> = new Set();
  #times: number[] = [];

  read(nodes: readonly ChaosNode[]): void {
    for (const node of nodes) for (const line of node.news()) this.#add(line);
  }

  /** Adds a position that does not belong to an event. */
  addPlace(id: string): void {
    if (!this.#entries.has(id)) this.#entries.set(id, undefined);
  }

  /** Sorts everything. */
  sort(): void {
    this.ledger = new Ledger();
    this.#numbers.clear();
    this.#times = [];
    const sorted = [...this.#entries].map(([id, event]) => ({ id, event, place: placeOf(id) }));
    sorted.sort((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1]);
    for (const { id, event, place } of sorted) {
      const { number } = this.ledger.publish(event?.[0] ?? "~");
      this.ledger.name(id, number);
      this.#times.push(place[0]);
      if (event !== undefined) this.#numbers.set(event[1], number);
    }
    for (const key of this.#rejected) {
      if (this.#ids.has(key)) this.faults.push(`${key} was rejected, and is in the log`);
    }
  }

  numberOf(key: string): number {
    return this.#numbers.get(key) ?? 0;
  }

  /** @returns Number of the newest entry at a time on the clock of Redis, in milliseconds. */
  numberAt(ms: number): number {
    const after = this.#times.findLastIndex((time) => time <= ms);
    return after + 1;
  }

  #add(line: Line): void {
    const [kind, ...values] = line;
    if (kind === "entries") {
      for (const [id, channel, key] of values[0] as [string, string, string][]) {
        this.#event(id, channel, key);
      }
    } else if (kind === "published") {
      const [id, channel, key] = values as [string, string, string];
      this.#event(id, channel, key);
      this.#count("published");
    } else if (kind === "failed") {
      const [code, key] = values as [string, string];
      if (code === "ERR_SSE_LOG_REJECTED") this.#rejected.add(key);
      this.#count(`publish ${code}`);
    } else if (kind === "start") {
      this.addPlace(values[0] as string);
    } else if (kind === "reset") {
      this.addPlace(values[0] as string);
      this.#count(`log resets ${String(values[1])}`);
    } else if (kind === "error") {
      this.#count(`errors ${String(values[0])}`);
    } else if (kind === "closed") {
      const [visit, reason] = values as [number, string];
      if (reason !== "client") this.faults.push(`visit ${visit} was closed with ${reason}`);
    } else {
      const visit = values[0] as number;
      const calls = this.calls.get(visit);
      if (calls === undefined) this.calls.set(visit, [line]);
      else calls.push(line);
      this.#count(kind);
    }
  }

  #event(id: string, channel: string, key: string): void {
    const known = this.#ids.get(key);
    if (known !== undefined && known !== id) this.faults.push(`${key} is ${known} and ${id}`);
    this.#ids.set(key, id);
    this.#entries.set(id, [channel, key]);
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

/** Cleanup functions of a chapter, called even if it fails. */
const closers: (() => unknown)[] = [];

async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).toReversed()) await close();
}

interface Chapter {
  checked: number;
  readonly counts: { [name: string]: number };
  readonly faults: { readonly kind: string; readonly text: string }[];
}

/** Runs one chapter. */
async function run(seed: number): Promise<Chapter> {
  const random = seeded(seed);
  const chance = (share: number): boolean => random() < share;
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const maxEvents = pick([500, 5_000, 50_000]);
  const has = Object.fromEntries(
    FEATURES.map((feature) => [feature, chance(0.7) && !WITHOUT.includes(feature)]),
  ) as { readonly [feature in (typeof FEATURES)[number]]: boolean };
  const about = `SEED=${seed} (${FEATURES.filter((feature) => has[feature]).join()}; ${maxEvents})`;
  const chapter: Chapter = { checked: 0, counts: {}, faults: [] };
  const count = (name: string): void => {
    chapter.counts[name] = (chapter.counts[name] ?? 0) + 1;
  };

  const redis = await RedisServer.start();
  closers.push(() => redis.stop());
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-soak-"));
  closers.push(() => fs.rmSync(directory, { recursive: true, force: true }));
  const all: ChaosNode[] = [];
  const nodes: ChaosNode[] = [];
  const startNode = async (place: number): Promise<void> => {
    const parts = { url: redis.url, channels: CHANNELS, maxEvents, perSecond: PER_SECOND, has };
    const node = new ChaosNode(directory, `n${all.length}`, parts);
    all.push(node);
    closers.push(() => node.kill());
    nodes[place] = node;
    await node.start();
  };
  await Promise.all(Array.from({ length: NODES }, (_, place) => startNode(place)));

  const records: Visited[] = [];
  const flushes: Flush[] = [];
  const progress = { arrived: 0, isOver: false };

  const members: Member[] = Array.from({ length: CLIENTS }, (_, index) => {
    const client = new ChaosClient(
      { path: "" },
      {
        block(block, at) {
          const { event, data } = block;
          if (event === "n") progress.arrived += 1;
          // Strips the padding of the event.
          const text = event === "n" ? data.slice(0, data.indexOf(" ")) : data;
          const time = Date.now();
          member.visited?.blocks.push({ block: { ...block, data: text }, at, time });
        },
        received(bytes) {
          if (member.visited !== undefined) member.visited.received = bytes;
        },
        ended: () => end(member),
      },
    );
    closers.push(() => client.cut());
    const isReader = index % 3 === 0;
    const member: Member = { client, isReader, visited: undefined, isStalled: false };
    return member;
  });

  function connect(member: Member): void {
    const { client } = member;
    const node = pick(nodes.filter(({ isUp }) => isUp));
    const visited = { since: client.lastEventId, blocks: [], received: 0, isOver: false };
    member.visited = visited;
    member.isStalled = false;
    client.address = chance(0.5) ? { host: "127.0.0.1", port: node.port } : { path: node.pipe };
    client.connect(`/?visit=${records.push(visited) - 1}${member.isReader ? "&read" : ""}`);
    count(member.isReader ? "connections of readers" : "connections");
  }

  function end(member: Member): void {
    if (member.visited !== undefined) member.visited.isOver = true;
    member.visited = undefined;
  }

  function disturb(): void {
    const member = pick(members);
    const { client, visited } = member;
    const dice = random();
    if (visited === undefined) {
      connect(member);
    } else if (dice < 0.1 && has.stalls) {
      if (member.isStalled) client.goOn();
      else client.stall();
      member.isStalled = !member.isStalled;
      count("stalls");
    } else if (dice < 0.15 && has.cuts) {
      client.cut();
      end(member);
      count("cuts");
    } else if (dice < 0.2 && has.cuts && !member.isStalled) {
      client.cutWithin(Math.floor(random() * 65_536));
      count("cuts");
    }
  }

  /** Loses all data in Redis. Settles once a node has detected that. */
  async function flush(): Promise<void> {
    const time = Date.now();
    // Ids of the new history must not occur in the old one.
    await redis.command("EVAL", "redis.call('FLUSHALL') for i = 1, 3e6 do end", "0");
    const mark = async (): Promise<string> => {
      for (;;) {
        const id = await redis.command("GET", "{tidewire}:mark");
        if (typeof id === "string") return id;
        await setTimeout(20);
      }
    };
    flushes.push({ time, mark: await within("a node to find the loss", mark(), 10_000) });
  }

  async function failRedis(): Promise<void> {
    const faults = [
      ...(has.outages ? ["outage"] : []),
      ...(has.pauses ? ["pause"] : []),
      ...(has.flushes ? ["flush"] : []),
    ];
    while (!progress.isOver && faults.length > 0) {
      await setTimeout(500 + random() * 1_500);
      const fault = pick(faults);
      count(fault);
      if (fault === "flush") {
        await flush();
      } else if (fault === "outage") {
        await redis.command("CLIENT", "KILL", "TYPE", "normal");
      } else {
        redis.pause();
        await setTimeout(2_000 + random() * 2_000);
        redis.resume();
      }
    }
  }

  async function failNodes(): Promise<void> {
    while (!progress.isOver && has.kills) {
      await setTimeout(1_000 + random() * 3_000);
      const place = Math.floor(random() * NODES);
      await nodes[place]?.kill();
      count("kills");
      await startNode(place);
    }
  }

  const history = new History();

  /** Compares the data of a connection with the expectation. */
  function check(number: number): Visit {
    const visited = records[number] as Visited;
    const { ledger } = history;
    const since = visited.since === "" ? undefined : ledger.numberOf(visited.since);
    const calls = history.calls.get(number) ?? [];
    const begin = ledger.numberOf(String(calls[0]?.[2])) ?? 0;
    const visit = new Visit(ledger, maxEvents, since, begin);
    const made: Call[] = [];
    const takes: Take[] = [];
    for (const line of calls) {
      const [kind, , tail, bytes] = line as [string, number, string, number];
      const moment: Moment = { position: ledger.numberOf(tail) ?? 0, bytes };
      if (kind === "join") {
        const [channels, call, details] = line.slice(4) as [string[], number, Made];
        made[call] = {
          ...details,
          isStateDue: details.hasSnapshot && !details.isReplayed,
          take: undefined,
          states: 0,
          resetsBefore: 0,
        };
        visit.join(channels, made[call], moment);
      } else if (kind === "leave") {
        const [channels, limit] = line.slice(4) as [string[], number | null];
        visit.leave(channels, limit ?? Infinity, moment);
      } else {
        const [call, take] = line.slice(4) as [number, number];
        takes[take] = visit.take(made[call] as Call, moment);
      }
    }
    for (const { block, at, time } of visited.blocks) {
      const { event, id, data } = block;
      if (event === "n") {
        visit.event(history.numberOf(data), id, at);
      } else if (event === "state") {
        const [owner, take] = data.split(":").map(Number);
        const taken = owner === number ? takes[Number(take)] : undefined;
        if (taken !== undefined) visit.state(taken, at);
        else
          chapter.faults.push({ kind: "state", text: `${about}: ${number} got the state ${data}` });
      } else if (event === "sse-cursor") {
        visit.cursor(id ?? "", at);
      } else if (event === "sse-reset") {
        const latest = history.numberAt(time);
        const cause = flushes.some(
          (loss) => loss.time <= time && visit.position < (ledger.numberOf(loss.mark) ?? Infinity),
        );
        visit.reset(JSON.parse(data) as Reset, id ?? "", at, { latest, hasCause: cause });
      }
    }
    visit.received(visited.received);
    return visit;
  }

  /** @returns Events that the present clients have not received yet. */
  function missing(): string[] {
    history.read(all);
    for (const { mark } of flushes) history.addPlace(mark);
    history.sort();
    return records.flatMap((visited, number) => {
      if (visited.isOver) return [];
      const lack = check(number).missing();
      return lack === undefined ? [] : [`client ${number}: ${lack}`];
    });
  }

  for (const member of members) connect(member);
  const failing = [failRedis(), failNodes()];
  const mostUntil = performance.now() + 60_000;
  while (progress.arrived < EVENTS_PER_CHAPTER && performance.now() < mostUntil) {
    await setTimeout(10);
    disturb();
    disturb();
  }
  progress.isOver = true;
  await Promise.all(failing);
  await Promise.all(nodes.map((node) => node.stop()));
  for (const member of members) {
    if (member.visited === undefined) connect(member);
    if (member.isStalled) member.client.goOn();
  }
  const deadline = performance.now() + 20_000;
  await setTimeout(500);
  while (missing().length > 0 && performance.now() < deadline) await setTimeout(500);

  for (const [number, visited] of records.entries()) {
    const visit = check(number);
    if (visited.isOver) visit.end();
    else visit.settle();
    chapter.checked += visit.checked;
    for (const { block } of visited.blocks) {
      if (block.event !== "sse-reset") continue;
      count(`resets ${(JSON.parse(block.data) as Reset).reason}`);
    }
    if (visit.fault === undefined) continue;
    const { kind, text } = visit.fault;
    const story = visit.story.slice(-25).join("\n    ");
    chapter.faults.push({ kind, text: `${about}: visit ${number}: ${text}\n    ${story}` });
  }
  for (const text of history.faults)
    chapter.faults.push({ kind: "log", text: `${about}: ${text}` });
  for (const [name, value] of Object.entries(history.counts)) chapter.counts[name] = value;

  await closeAll();
  return chapter;
}

/** Parts of an id of the log. */
function placeOf(id: string): readonly [ms: number, counter: number] {
  const [ms = NaN, counter = NaN] = id.split(/[-~]/).map(Number);
  return [ms, counter];
}

describeWithRedis("Three nodes on a Redis that fails", () => {
  afterEach(closeAll);

  it(
    `deliver ${EVENTS} events once and in order, or reset, while channel sets change`,
    { timeout: 0 },
    async () => {
      const total = { checked: 0, chapters: 0 };
      const counts: { [name: string]: number } = {};
      const kinds: { [name: string]: number } = {
        hole: 0,
        double: 0,
        disorder: 0,
        "reset without a cause": 0,
      };
      const faults: string[] = [];
      const start = performance.now();
      while (total.checked < EVENTS) {
        const chapter = await run(SEED + total.chapters);
        total.checked += chapter.checked;
        total.chapters += 1;
        for (const [name, count] of Object.entries(chapter.counts)) {
          counts[name] = (counts[name] ?? 0) + count;
        }
        for (const { kind, text } of chapter.faults) {
          kinds[kind] = (kinds[kind] ?? 0) + 1;
          faults.push(`${kind}: ${text}`);
        }
        const seconds = ((performance.now() - start) / 1_000).toFixed(0);
        console.log(
          `seeds ${SEED} to ${SEED + total.chapters - 1}: ${total.checked} events checked in ${seconds} s, ${JSON.stringify(counts)}, faults ${JSON.stringify(kinds)}`,
        );
      }
      expect(faults.slice(0, 20)).toEqual([]);
    },
  );
});
