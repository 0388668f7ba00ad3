import * as fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Admission } from "../../src/hub/admission.js";
import type {
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPage,
} from "../../src/log/log.js";
import { memoryLog } from "../../src/log/memory-log.js";
import { resolveOptions } from "../../src/options/hub.js";
import { createPublisher } from "../../src/hub/publisher.js";
import type { Publisher } from "../../src/hub/publisher.js";
import { Session } from "../../src/session/event-stream.js";
import type { SessionHost } from "../../src/session/event-stream.js";
import type { SnapshotMessages } from "../../src/options/subscribe.js";
import { MemorySink } from "../memory-sink.js";
import type { TestSession } from "../session-under-test.js";
import { interpret } from "../whatwg-parser.js";

/** Random interleavings of each property. */
const RUNS = Number(process.env["FAST_CHECK_RUNS"] ?? 10_000);
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CHANNELS = ["a", "b", "c"];
/** Joined by a second `subscribe` on the same stream. */
const ADDED = "added";
const CLIENTS = 3;

const InternalSession = Session as unknown as new (
  sink: MemorySink,
  host: SessionHost,
  hub: undefined,
) => TestSession;

/** What happens next; `who` and `amount` are taken modulo what there is. */
interface Step {
  readonly what: (typeof STEPS)[number];
  readonly who: number;
  readonly amount: number;
}

const STEPS = [
  "publish",
  "publish",
  "publish",
  "publish",
  "burst",
  "turn",
  "turn",
  "connect",
  "connect",
  "sendHead",
  "add",
  "leave",
  "fork",
  "restart",
  "stopReading",
  "take",
  "readOn",
  "cut",
  "bounce",
  "bounce",
  "resolve",
  "resolve",
  "beat",
  "silence",
] as const;

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(...STEPS),
  who: fc.nat(99),
  amount: fc.nat(200),
});

interface Scenario {
  readonly steps: readonly Step[];
  readonly maxEvents: number;
  readonly highWaterMark: number;
  readonly isAsync: boolean;
  /** `true`: each stream joins all channels at once, by two calls; `false`: one of them some time later. */
  readonly addsAtOnce: boolean;
  readonly holdsHead: boolean;
  readonly latest: number;
  /** `true`: the log can be read back, page by page, also by a process that has just started. */
  readonly keepsPast: boolean;
  /** How fast the clock goes on with every look at it: slow turns are cut into slices. */
  readonly tick: number;
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  steps: fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
  maxEvents: fc.constantFrom(1, 2, 3, 5, 10, 1_000),
  highWaterMark: fc.constantFrom(1, 60, 200, 1_000),
  isAsync: fc.boolean(),
  addsAtOnce: fc.boolean(),
  holdsHead: fc.boolean(),
  latest: fc.nat(4),
  keepsPast: fc.boolean(),
  tick: fc.constantFrom(0, 1, 5),
});

let immediates: (() => void)[] = [];
let tick = 0;
const realImmediate = setImmediate;

beforeEach(() => {
  let clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (clock += tick));
  vi.spyOn(globalThis, "setImmediate").mockImplementation(((run: () => void) => {
    immediates.push(run);
  }) as unknown as typeof setImmediate);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** One turn of the event loop. */
function turn(): void {
  for (const run of immediates.splice(0)) run();
}

/** Turns until nobody waits for one. */
function turnAll(): void {
  for (let round = 0; immediates.length > 0; round++) {
    if (round > 1_000) throw new Error("There is no end to it");
    turn();
  }
}

async function microtasks(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

/** A log that keeps all of its past and tells it in pages of three, each when the test says so. */
class PastLog implements Log {
  readonly #entries: LogEntry[] = [];
  readonly #pending: (() => void)[];
  #follower: LogFollower | undefined;

  constructor(pending: (() => void)[]) {
    this.#pending = pending;
  }

  start(follower: LogFollower): string {
    this.#follower = follower;
    return `t${this.#entries.length}`;
  }

  async append(channel: string, message: LogMessage): Promise<string> {
    const entry = { ...message, channel, id: `t${this.#entries.length + 1}` };
    this.#entries.push(entry);
    this.#follower?.entries([entry]);
    return entry.id;
  }

  read(after: string | undefined, upTo: string): Promise<LogPage | "unknown"> {
    return new Promise((resolve) => {
      this.#pending.push(() => {
        const first = after === undefined ? 0 : numberOf(after);
        const last = numberOf(upTo);
        if (!(first <= this.#entries.length)) return resolve("unknown");
        const start = Math.max(first, last - 4);
        const page = this.#entries.slice(start, last).map((entry) => ({ ...entry, ageMs: 0 }));
        seen.pages += 1;
        resolve({ entries: page, isLast: start === first });
      });
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve) => {
      this.#pending.push(resolve);
    });
  }

  compare(a: string, b: string): number {
    return numberOf(a) - numberOf(b);
  }

  health(): LogHealth {
    return { state: "live", lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {}
}

function numberOf(id: string): number {
  return /^t\d+$/.test(id) ? Number(id.slice(1)) : NaN;
}

/** A server with a state of one number for each channel, which only grows by what it publishes. */
class Server {
  readonly state = new Map([...CHANNELS, ADDED].map((name) => [name, 0]));
  broker: Admission;
  readonly publisher: Publisher;
  readonly heartbeat = { sweeps: 0, watch: (): void => {} };
  readonly host: SessionHost;
  readonly errors: unknown[] = [];
  /** Snapshots that are on their way. */
  readonly pending: (() => void)[] = [];
  resets = 0;
  replays = 0;
  restarts = 0;
  readonly #scenario: Scenario;
  #published = 0;
  readonly startAdmission: () => Admission;
  #follower: LogFollower | undefined;
  #tailId = "";

  constructor(setting: Scenario) {
    this.#scenario = setting;
    const log = setting.keepsPast ? new PastLog(this.pending) : memoryLog();
    const options = resolveOptions({
      reconnectionTimeMs: false,
      retention: { maxEvents: setting.maxEvents },
    });
    const report = (error: unknown): void => void this.errors.push(error);
    const read = log.read?.bind(log);
    const sync = log.sync?.bind(log);
    const followed: Log = {
      ...(read === undefined || sync === undefined ? {} : { read, sync }),
      start: (follower) => {
        this.#follower = follower;
        this.#tailId = log.start({
          entries: (entries) => {
            this.#tailId = entries.at(-1)?.id ?? this.#tailId;
            return follower.entries(entries);
          },
          reset: () => {},
          failed: () => {},
        }) as string;
        return this.#tailId;
      },
      append: (channel, message) => log.append(channel, message),
      health: () => log.health(),
      compare: (a, b) => log.compare(a, b),
      close: () => log.close(),
    };
    this.publisher = createPublisher({ log: followed });
    this.startAdmission = () =>
      new Admission(options, followed, {
        counted: () => {},
        replayed: () => void (this.replays += 1),
        wasReset: () => void (this.resets += 1),
        report,
      });
    this.broker = this.startAdmission();
    this.host = {
      options,
      cors: undefined,
      heartbeat: this.heartbeat,
      turnAway: () => undefined,
      opened: () => {},
      closed: () => {},
      released: () => {},
      subscribe: (session, channels, given) => this.broker.subscribe(session, channels, given),
      unsubscribe: (session, channels) => this.broker.unsubscribe(session, channels),
      report,
    };
  }

  publish(channel: string, by: number): void {
    this.state.set(channel, (this.state.get(channel) ?? 0) + by);
    const data = { channel, by, n: ++this.#published };
    this.publisher.publish(channel, { event: "delta", data }).catch((error: unknown) => {
      this.errors.push(error);
    });
  }

  /** Number of events published. */
  get published(): number {
    return this.#published;
  }

  /** The log says that its history was replaced; what it is now goes on from its newest event. */
  fork(): void {
    this.#follower?.reset("fork", this.#tailId);
  }

  /** The state of some channels as it is at the call, each in a message of its own. */
  snapshotOf(channels: readonly string[]): () => SnapshotMessages | Promise<SnapshotMessages> {
    return () => {
      const messages = channels.map((channel) => ({
        event: "state",
        data: { channel, value: this.state.get(channel) },
      }));
      if (!this.#scenario.isAsync) return messages;
      return new Promise((resolve) => {
        this.pending.push(() => resolve(messages));
      });
    };
  }
}

/** Events received without a reset in between. */
interface Part {
  readonly numbers: number[];
  /** Number of the newest event when the client subscribed anew; `undefined` after a reset. */
  readonly since: number | undefined;
}

/** A client that builds the server's state, keeps it over its connections and believes what it is told. */
class Client {
  readonly state = new Map<string, number>();
  /** Numbers of the events received, in parts: a new one after each reset and each new beginning. */
  readonly parts: Part[] = [];
  lastEventId = "";
  sink: MemorySink | undefined;
  session: TestSession | undefined;
  hasAdded = false;
  readonly #server: Server;
  readonly #channels: readonly string[];
  readonly #scenario: Scenario;
  /** `true`: state by snapshots; `false`: `latest`, and no channel is added. */
  readonly #hasState: boolean;
  /** Events of this connection that were looked at. */
  #seen = 0;
  #before: Buffer = Buffer.alloc(0);

  constructor(server: Server, channels: readonly string[], setting: Scenario, hasState: boolean) {
    this.#server = server;
    this.#channels = channels;
    this.#scenario = setting;
    this.#hasState = hasState;
  }

  get channels(): readonly string[] {
    return this.#hasState ? [...this.#channels, ADDED] : this.#channels;
  }

  connect(): void {
    if (this.session !== undefined) return;
    const { highWaterMark, holdsHead, latest } = this.#scenario;
    this.sink = new MemorySink({
      highWaterMark,
      holdsHead,
      headers: this.lastEventId === "" ? {} : { "last-event-id": this.lastEventId },
    });
    this.session = new InternalSession(this.sink, this.#server.host, undefined);
    this.#seen = 0;
    this.#before = Buffer.from(`id: ${this.lastEventId}\n\n`);
    this.hasAdded = false;
    if (this.lastEventId === "") this.parts.push({ numbers: [], since: this.#server.published });
    void this.session.subscribe(
      this.#channels,
      this.#hasState ? { snapshot: this.#server.snapshotOf(this.#channels) } : { latest },
    );
    if (this.#scenario.addsAtOnce) this.add();
  }

  add(): void {
    if (this.session === undefined || this.hasAdded || !this.#hasState) return;
    // What is joined in the first turn is replayed, as if it were the same call.
    if (!this.#scenario.addsAtOnce) turnAll();
    this.hasAdded = true;
    void this.session.subscribe(ADDED, { snapshot: this.#server.snapshotOf([ADDED]) });
  }

  leave(): void {
    if (!this.hasAdded || this.#scenario.addsAtOnce) return;
    this.hasAdded = false;
    this.session?.unsubscribe(ADDED);
  }

  /** What has reached it so far, and no more, is its own. */
  cut(): void {
    this.receive();
    this.sink?.leave();
    this.session = undefined;
    this.sink = undefined;
  }

  receive(): void {
    if (this.sink === undefined) return;
    const taken = Buffer.concat(this.sink.writes).subarray(0, this.sink.progress);
    // A client goes on with the id that it had: a block without data sets it.
    const { events, lastEventId } = interpret([this.#before, taken]);
    for (const { type, data } of events.slice(this.#seen)) {
      if (type === "sse-reset") {
        this.state.clear();
        this.parts.push({ numbers: [], since: undefined });
      } else if (type === "state") {
        const { channel, value } = JSON.parse(data) as { channel: string; value: number };
        this.state.set(channel, value);
      } else if (type === "delta") {
        const { channel, by, n } = JSON.parse(data) as { channel: string; by: number; n: number };
        this.state.set(channel, (this.state.get(channel) ?? NaN) + by);
        this.parts.at(-1)?.numbers.push(n);
      }
    }
    this.#seen = events.length;
    this.lastEventId = lastEventId;
  }
}

async function play(
  setting: Scenario,
  hasState: boolean,
): Promise<{ server: Server; clients: readonly Client[]; log: readonly string[] }> {
  ({ tick } = setting);
  immediates = [];
  const server = new Server(setting);
  const clients = Array.from(
    { length: CLIENTS },
    (_, i) => new Client(server, CHANNELS.slice(0, i + 1), setting, hasState),
  );
  /** Channels of what was published, in order. */
  const log: string[] = [];
  const publish = (amount: number): void => {
    const channel = [...CHANNELS, ADDED][amount % (CHANNELS.length + 1)] as string;
    log.push(channel);
    server.publish(channel, 1 + (amount % 7));
  };
  for (const { what, who, amount } of setting.steps) {
    const client = clients[who % CLIENTS] as Client;
    if (what === "publish") publish(amount);
    else if (what === "burst") for (let i = 0; i < 1 + (amount % 8); i++) publish(amount + i);
    else if (what === "turn") turn();
    else if (what === "connect") client.connect();
    else if (what === "sendHead") {
      if (setting.holdsHead && client.sink?.isHeadSent === false) client.sink.sendHead();
    } else if (what === "add") client.add();
    else if (what === "leave") client.leave();
    else if (what === "restart") {
      if (!setting.keepsPast || amount % 4 !== 0) continue;
      for (const one of clients) one.cut();
      server.broker = server.startAdmission();
      server.restarts += 1;
    } else if (what === "fork") {
      if (amount % 4 === 0) server.fork();
    } else if (what === "stopReading") client.sink?.stopReading();
    else if (what === "take") {
      client.sink?.take(Math.min(amount, client.sink.bufferedBytes));
    } else if (what === "readOn") client.sink?.readOn();
    else if (what === "cut") client.cut();
    else if (what === "bounce") {
      client.cut();
      for (let i = 0; i < amount % 4; i++) publish(amount + i);
      client.connect();
    } else if (what === "resolve") server.pending.shift()?.();
    else {
      server.heartbeat.sweeps += what === "beat" ? 1 : 31;
      client.session?.beat(performance.now());
    }
    // Sometimes several things happen before a promise gets its turn.
    if (amount % 3 !== 0) await microtasks();
  }
  for (let round = 0; round < 3 || immediates.length > 0 || server.pending.length > 0; round++) {
    if (round > 1_000) throw new Error("There is no end to it");
    for (const client of clients) {
      client.connect();
      if (setting.holdsHead && client.sink?.isHeadSent === false) client.sink.sendHead();
      client.add();
      client.sink?.readOn();
    }
    for (const resolve of server.pending.splice(0)) resolve();
    await microtasks();
    turn();
  }
  for (const client of clients) client.receive();
  return { server, clients, log };
}

let played = 0;

/** Lets the runner of the tests breathe. */
async function breathe(): Promise<void> {
  if (++played % 200 !== 0) return;
  await new Promise((resolve) => {
    realImmediate(resolve);
  });
}

/** What came about in all runs: a property of runs in which nothing happens would hold as well. */
const seen = { resets: 0, replays: 0, restarts: 0, pages: 0, events: 0 };

function count(server: Server, log: readonly string[]): void {
  seen.resets += server.resets;
  seen.replays += server.replays;
  seen.restarts += server.restarts;
  seen.events += log.length;
}

it(
  "a client's state is the server's, whenever it subscribes, is held up, cut or resumes: snapshot and deltas",
  { timeout: 300_000 },
  async () => {
    const start = Date.now();
    await fc.assert(
      fc.asyncProperty(scenario, async (setting) => {
        const { server, clients, log } = await play(setting, true);
        count(server, log);
        expect(server.errors).toEqual([]);
        for (const client of clients) {
          const expected = client.channels.map((name) => [name, server.state.get(name)]);
          const actual = client.channels.map((name) => [name, client.state.get(name)]);
          expect(actual).toEqual(expected);
          client.cut();
        }
        expect(server.broker.delivery?.channelCount).toBe(0);
        await breathe();
      }),
      { numRuns: RUNS, seed: SEED },
    );
    console.error(`seed ${SEED}: ${RUNS} interleavings in ${Date.now() - start} ms`, seen);
    expect(seen.resets).toBeGreaterThan(0);
    expect(seen.replays).toBeGreaterThan(0);
    expect(seen.pages).toBeGreaterThan(0);
  },
);

it(
  "a client has each event of its channels once and in order, from where it began or was last reset: latest",
  { timeout: 300_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (setting) => {
        const { server, clients, log } = await play(setting, false);
        expect(server.errors).toEqual([]);
        for (const client of clients) {
          const all = log.flatMap((name, i) => (client.channels.includes(name) ? [i + 1] : []));
          for (const [index, { numbers, since }] of client.parts.entries()) {
            const last = index === client.parts.length - 1 ? log.length : (numbers.at(-1) ?? 0);
            // All that came after it had subscribed; before that, `latest` says how much.
            const early = numbers.filter((n) => n <= (since ?? 0)).length;
            expect(early).toBeLessThanOrEqual(setting.latest);
            const first = since === undefined ? (numbers[0] ?? Infinity) : since + 1;
            const begin = early > 0 ? (numbers[0] as number) : first;
            expect(numbers, `part ${index}`).toEqual(all.filter((n) => n >= begin && n <= last));
          }
          client.cut();
        }
        await breathe();
      }),
      { numRuns: RUNS, seed: SEED },
    );
  },
);
