/**
 * Checks the promise against a real hub whose sockets, clock, log and callbacks are controlled by the property: every
 * write of every interleaving is checked as it happens. `stream-model.ts` defines the correct behaviour of a stream.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Exchange } from "../../src/http/exchange.js";
import { createHub } from "../../src/hub/hub.js";
import type { Hub } from "../../src/hub/hub.js";
import type { LogMessage } from "../../src/log/log.js";
import type { SnapshotMessages } from "../../src/options/subscribe.js";
import type { Session } from "../../src/hub/hub.js";
import type { CloseReason } from "../../src/session/session.js";
import { ModelReader } from "./reader-model.js";
import type { ReadCounts } from "./reader-model.js";
import { Call, Chronicle, Connection, ModelLog } from "./stream-model.js";
import type { Counts, ModelExchange, ModelOutlet, SnapshotKind } from "./stream-model.js";

// A real hub, except for the sockets.
vi.mock("../../src/outlet/node-sink.js", async () => {
  const { ModelOutlet: NodeSink } = await import("./stream-model.js");
  return { NodeSink };
});

// Fixed in CI, so that a rare fault does not fail an unrelated change. Elsewhere each run uses another seed.
const SEED = Number(
  process.env["SEED"] ?? (process.env["CI"] ? 71 : Math.floor(Math.random() * 2 ** 31)),
);
/** Replays one failure directly: the path that fast-check prints. */
const PATH = process.env["FAST_CHECK_PATH"] ?? "";
/** Number of deliveries that the soak checks; 0 unless requested. */
const SOAK = Number(
  process.env["SOAK_DELIVERIES"] ?? (process.env["SOAK"] === "full" ? 10_000_000 : 0),
);
/** Random interleavings. A soak counts deliveries instead. */
const RUNS = Math.min(
  Number(process.env["FAST_CHECK_RUNS"] ?? (process.env["CI"] ? 20_000 : 2_000)),
  SOAK > 0 ? 20_000 : Infinity,
);
const TIMEOUT_MS = Math.max(60_000, RUNS * 20);
/** An interleaving takes milliseconds: one that takes this long has hung. */
const HANG_MS = 20_000;

const CHANNELS = ["a", "b", "c", "d"];
const CLIENTS = 3;
const READERS = 3;
/** More than delivery serves between two checks of the clock. */
const CROWD = 40;
/** Most messages in a snapshot. */
const MAX_PARTS = 3;
/** Most bytes for others before a subscription that is behind gets its turn: two slices each, with a large event. */
const MAX_PASSED = 4 * 100_000;
/** Longest chain of promise jobs in a call, with a margin. */
const JOBS = 24;
/** How long a starting log may hold back a head. */
const HOLD_MS = 1_000;
/** How long `complete()` may wait for an event that was lost. */
const MISSED_MS = 1_000;
/** The clock advances with each reading: tolerance for one step. */
const CLOCK_ERROR_MS = 400;

/** Relative frequency of each step. */
const WEIGHTS = {
  publish: 6,
  burst: 5,
  flood: 1,
  flow: 4,
  turn: 6,
  quiet: 3,
  connect: 3,
  subscribe: 7,
  unsubscribe: 4,
  complete: 1,
  send: 2,
  close: 1,
  resolve: 10,
  stopReading: 2,
  take: 2,
  readOn: 3,
  cut: 1,
  bounce: 6,
  wait: 2,
  reset: 1,
  restart: 1,
  log: 3,
  breakWrite: 1,
  read: 4,
  next: 6,
  loop: 2,
  leaveLoop: 1,
  position: 1,
} as const;

type What = keyof typeof WEIGHTS;

const STEPS = Object.entries(WEIGHTS).flatMap(([what, weight]) =>
  Array<What>(weight).fill(what as What),
);

/** One step of an interleaving. */
interface Step {
  readonly what: What;
  readonly who: number;
  /** Number from which all choices of the step are derived. */
  readonly choice: number;
  /** Pause before the next step: none, the promise jobs of this turn, or the rest of the turn. */
  readonly pause: "none" | "jobs" | "turn";
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(...STEPS),
  who: fc.nat(CLIENTS - 1),
  choice: fc.nat(2 ** 30),
  pause: fc.constantFrom("none", "jobs", "turn", "turn"),
});

interface Scenario {
  readonly maxEvents: number;
  readonly log: "memory" | "past" | "late";
  readonly hasAuthorize: boolean;
  /** Whether clients have an identity: then the head of one that resumes waits for a look-up of its position. */
  readonly hasIdentity: boolean;
  readonly hasCors: boolean;
  readonly holdsHead: boolean;
  readonly highWaterMark: number;
  /** How far the clock advances with each reading: slow turns are cut into slices. */
  readonly tick: number;
  readonly hasCrowd: boolean;
  /** Whether a few events exceed one write. */
  readonly isLarge: boolean;
  /** Whether async contexts are tracked, which slows down every promise. */
  readonly hasContexts: boolean;
  /** How each client connects at the start. */
  readonly first: readonly number[];
  readonly steps: readonly Step[];
}

const rarely = fc.nat(11).map((number) => number === 11);

const scenario: fc.Arbitrary<Scenario> = fc.record({
  maxEvents: fc.constantFrom(1, 2, 3, 5, 8, 12, 20, 1_000, 1_000, 1_000),
  log: fc.constantFrom("memory", "memory", "past", "past", "late"),
  hasAuthorize: fc.boolean(),
  hasIdentity: fc.boolean(),
  hasCors: rarely,
  holdsHead: rarely,
  highWaterMark: fc.constantFrom(1, 60, 200, 1_000),
  tick: fc.constantFrom(0, 1, 5),
  hasCrowd: rarely,
  isLarge: rarely,
  hasContexts: rarely,
  first: fc.array(fc.nat(2 ** 30), { minLength: CLIENTS, maxLength: CLIENTS }),
  steps: fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
});

/** Derives small choices from a number. */
class Choices {
  #left: number;

  constructor(choice: number) {
    this.#left = choice;
  }

  /** @returns A whole number below `count`. */
  below(count: number): number {
    const chosen = this.#left % count;
    this.#left = Math.floor(this.#left / count);
    return chosen;
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** @returns One to three channels. */
  channels(): string[] {
    const count = this.of([1, 2, 3]);
    const first = this.below(CHANNELS.length);
    const stride = this.of([1, 3]);
    return Array.from({ length: count }, (_, i) => CHANNELS[(first + i * stride) % 4] as string);
  }
}

interface Timer {
  readonly run: () => void;
  readonly every: number | undefined;
  at: number;
  unref(): Timer;
}

/** Time controlled by the test. */
class Clock {
  tick = 0;
  #now = 0;
  readonly #timers = new Set<Timer>();
  readonly #immediates: (() => void)[] = [];

  /** The current time, without advancing it. */
  get time(): number {
    return this.#now;
  }

  now(): number {
    return (this.#now += this.tick);
  }

  immediate(run: () => void): void {
    this.#immediates.push(run);
  }

  add(run: () => void, ms: number, isRepeated: boolean): Timer {
    const every = isRepeated ? ms : undefined;
    const timer: Timer = { run, every, at: this.#now + ms, unref: () => timer };
    this.#timers.add(timer);
    return timer;
  }

  clear(timer: Timer | undefined): void {
    if (timer !== undefined) this.#timers.delete(timer);
  }

  get isQuiet(): boolean {
    return this.#immediates.length === 0;
  }

  takeImmediates(): (() => void)[] {
    return this.#immediates.splice(0);
  }

  /** @returns Callbacks due in this period, in order; each has to run in its own turn. */
  *pass(ms: number): Iterable<() => void> {
    const end = this.#now + ms;
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
      }
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.every === undefined) this.#timers.delete(next);
      else next.at = this.#now + next.every;
      yield next.run;
    }
    this.#now = Math.max(this.#now, end);
  }
}

const realImmediate = setImmediate;
let clock = new Clock();

beforeEach(() => {
  // Not spies, which would record millions of calls.
  vi.stubGlobal("performance", { now: () => clock.now() });
  vi.stubGlobal("setImmediate", (run: () => void) => clock.immediate(run));
  vi.stubGlobal("setTimeout", (run: () => void, ms: number) => clock.add(run, ms, false));
  vi.stubGlobal("setInterval", (run: () => void, ms: number) => clock.add(run, ms, true));
  vi.stubGlobal("clearTimeout", (timer: Timer | undefined) => clock.clear(timer));
  vi.stubGlobal("clearInterval", (timer: Timer | undefined) => clock.clear(timer));
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Events over all runs: the property would also hold for runs in which nothing happens. */
const counts: Counts & ReadCounts & Record<"replays" | "contexts" | "early" | "completed", number> =
  {
    events: 0,
    latest: 0,
    states: 0,
    resets: 0,
    causeless: 0,
    replays: 0,
    contexts: 0,
    early: 0,
    completed: 0,
    readEvents: 0,
    readLatest: 0,
    readResets: 0,
    readAfter: 0,
    readEarly: 0,
    readToTheEnd: 0,
  };

const contexts = new AsyncLocalStorage<unknown>();
const PUBLISHER = { is: "the publisher" };

/** A real stream and its model. */
interface Stream {
  readonly model: Connection;
  readonly session: Session;
  readonly outlet: ModelOutlet;
}

/** A client and the ids that it may reconnect with, newest last. */
interface Client {
  stream: Stream | undefined;
  readonly ids: string[];
}

/** Something pending that the test triggers at will. */
interface Pending {
  readonly run: (choices: Choices) => void;
  readonly owner: Connection | undefined;
}

/** State of one run. */
class World {
  readonly #setting: Scenario;
  readonly #chronicle: Chronicle;
  readonly #messages: LogMessage[] = [];
  readonly #clients: readonly Client[] = Array.from({ length: CLIENTS }, () => ({
    stream: undefined,
    ids: [],
  }));
  readonly #readers: (ModelReader | undefined)[] = Array.from({ length: READERS });
  /** Positions of readers and of the hub, which a page or a job may have stored. */
  readonly #positions: string[] = [];
  /** Readers whose last calls are under way. */
  #left: ModelReader[] = [];
  #crowd: ModelOutlet[] = [];
  #streams: Stream[] = [];
  #log: ModelLog;
  #hub: Hub;
  #pending: Pending[] = [];
  #turn = 0;
  /** `true` while delivery takes a turn. */
  #isInLoop = false;
  #callCount = 0;
  #order = 0;
  readonly #failures: string[] = [];
  readonly #trace: string[] = [];
  /** The call that `authorize` decides, and its answer. */
  #asking: { readonly call: Call; readonly model: Connection; readonly how: Answer } | undefined;

  constructor(setting: Scenario) {
    this.#setting = setting;
    this.#chronicle = new Chronicle(setting.log !== "memory", setting.maxEvents);
    this.#log = this.#openLog();
    this.#hub = this.#openHub();
  }

  async play(): Promise<void> {
    this.#gather();
    for (const [who, choice] of this.#setting.first.entries()) {
      this.#connect(this.#clients[who] as Client, new Choices(choice));
      await this.#endTurn();
    }
    for (const { what, who, choice, pause } of this.#setting.steps) {
      this.#trace.push(`${what} ${who} ${choice} ${pause}`);
      const waits = this.#step(what, who, new Choices(choice));
      // No promise job runs between two steps that must follow each other directly.
      if (waits !== undefined) await waits;
      if (pause === "jobs") await this.#jobs();
      else if (pause === "turn") await this.#endTurn();
      this.#checkStats();
      this.#check();
    }
    this.#trace.push("the end");
    await this.#finish();
    this.#check();
  }

  /** Ends everything that the run started, even after a failure. */
  async tidy(): Promise<void> {
    for (const { outlet } of this.#streams) outlet.leave();
    for (const outlet of this.#crowd) outlet.leave();
    for (const reader of this.#readers) reader?.return();
    for (let round = 0; round < 100 && !clock.isQuiet; round++) await this.#loop();
    contexts.disable();
  }

  #step(what: What, who: number, choices: Choices): Promise<void> | undefined {
    const client = this.#clients[who] as Client;
    const { stream } = client;
    const reader = this.#readers[who];
    switch (what) {
      case "publish":
        this.#publish(choices.of(CHANNELS));
        return undefined;
      case "burst":
        this.#burst(2 + choices.below(10), choices);
        return undefined;
      case "flood":
        this.#burst(Math.min(this.#setting.maxEvents, 20) + choices.below(4), choices);
        return undefined;
      case "flow":
        return this.#flow(choices);
      case "turn":
        return this.#loop();
      case "quiet":
        return this.#settleDown();
      case "connect":
        this.#connect(client, choices);
        return undefined;
      case "subscribe":
        if (stream?.session.state === "closed") this.#connect(client, choices);
        else if (stream === undefined) this.#connect(client, choices);
        else this.#subscribe(stream, choices);
        return undefined;
      case "unsubscribe":
        this.#unsubscribe(stream, choices.below(4) === 0 ? CHANNELS : choices.channels());
        return undefined;
      case "complete":
        this.#complete(stream);
        return undefined;
      case "send":
        this.#send(stream);
        return undefined;
      case "close":
        if (choices.below(4) === 0) this.#close(stream);
        return undefined;
      case "resolve":
        return this.#resolve(choices);
      case "stopReading":
        stream?.outlet.stopReading();
        return undefined;
      case "take":
        stream?.outlet.take(Math.min(choices.below(300), stream.outlet.bufferedBytes));
        return undefined;
      case "readOn":
        stream?.outlet.readOn();
        return undefined;
      case "cut":
        this.#cut(client);
        return undefined;
      case "bounce":
        return this.#bounce(client, choices);
      case "wait":
        return this.#pass(choices.of([450, 1_000, 1_000, 5_000, 14_000]));
      case "reset":
        if (choices.below(2) === 0) this.#reset(choices.of(["fork", "trimmed"]), choices.below(10));
        return undefined;
      case "restart":
        return choices.below(3) === 0 ? this.#restart() : undefined;
      case "log":
        return this.#driveLog(choices);
      case "breakWrite":
        if (stream === undefined || choices.below(2) === 0) return undefined;
        stream.model.mayClose.add("error");
        stream.outlet.throwsNext = true;
        return undefined;
      case "read":
        this.#read(who, choices);
        return undefined;
      case "next":
        // Calls that do not wait for each other, as some libraries make them.
        if (reader === undefined) this.#read(who, choices);
        for (let left = 1 + choices.below(3); left > 0; left--) this.#readers[who]?.next();
        return undefined;
      case "loop":
        if (reader === undefined) this.#read(who, choices);
        this.#loopOn(this.#readers[who]);
        return undefined;
      case "leaveLoop":
        if (reader !== undefined) this.#leaveLoop(who, reader);
        return undefined;
      case "position":
        void this.#hub.position().then(
          (id) => this.#positions.push(id),
          (error: unknown) => this.#fail(`position: ${String(error)}`),
        );
        return undefined;
    }
  }

  /** Begins to read, in the place of a reader that goes on from its position or has ended. */
  #read(who: number, choices: Choices): void {
    const before = this.#readers[who];
    if (before !== undefined) this.#leaveLoop(who, before);
    const kind = choices.below(6);
    const start = {
      channels: choices.channels(),
      after: kind < 2 ? undefined : kind === 2 ? this.#anyId(choices) : this.#positions.at(-1),
      latest: kind === 1 ? 1 + choices.below(4) : 0,
    };
    const { channels, after, latest } = start;
    const abort = choices.below(2) === 0 ? new AbortController() : undefined;
    const reading = this.#hub.read(channels, { after, latest, signal: abort?.signal });
    const fail = (text: string): void => this.#fail(text);
    this.#readers[who] = new ModelReader(reading, abort, start, this.#chronicle, counts, fail);
  }

  #anyId(choices: Choices): string {
    const { tail, newest, keepsPast } = this.#chronicle;
    const id = choices.of([...this.#positions, ...this.#clients.flatMap(({ ids }) => ids), ""]);
    const any = this.#chronicle.idOf(choices.below(newest + 1));
    const ahead = keepsPast && newest > tail ? this.#chronicle.idOf(newest) : any;
    return choices.of([id, id, any, any, ahead, ahead, "nonsense", "e0.99999", "~unknown"]);
  }

  #loopOn(reader: ModelReader | undefined): void {
    if (reader === undefined || reader.isLoop || reader.isDone) return;
    reader.isLoop = true;
    reader.next();
  }

  #leaveLoop(who: number, reader: ModelReader): void {
    reader.isLoop = false;
    reader.return();
    const { position } = reader;
    if (position !== undefined) this.#positions.push(position);
    // The calls under way must end too.
    if (reader.calls > 0) this.#left.push(reader);
    this.#readers[who] = undefined;
  }

  #burst(count: number, choices: Choices): void {
    // The log also carries messages between processes.
    if (choices.below(8) === 1) void this.#log.append("~control", { data: "" });
    const channels = [choices.of(CHANNELS), choices.of(CHANNELS)] as const;
    for (let i = 0; i < count; i++) this.#publish(choices.of(channels));
  }

  /** Publishes steady traffic. */
  async #flow(choices: Choices): Promise<void> {
    for (let round = 2 + choices.below(4); round > 0; round--) {
      this.#burst(1 + choices.below(4), choices);
      await this.#loop();
    }
  }

  /** Disconnects and reconnects the client. */
  #bounce(client: Client, choices: Choices): Promise<void> | undefined {
    this.#cut(client);
    const connect = (): void => {
      this.#burst(choices.below(4), choices);
      this.#connect(client, choices);
    };
    if (choices.below(2) === 0) return this.#endTurn().then(connect);
    connect();
    return undefined;
  }

  #openLog(): ModelLog {
    return new ModelLog(
      this.#chronicle,
      this.#messages,
      (run) => this.#pending.push({ run, owner: undefined }),
      {
        isLate: this.#setting.log === "late",
        // Either a few pages hold everything the process can, or `latest` has to wait for many.
        pageSize: this.#setting.tick === 0 ? Math.ceil(this.#setting.maxEvents / 4) + 2 : 2,
      },
    );
  }

  #openHub(): Hub {
    const { maxEvents, hasAuthorize, hasIdentity, hasCors } = this.#setting;
    return createHub({
      log: this.#log,
      reconnectionTimeMs: 1_000,
      retention: { maxEvents, maxAgeMs: 2 ** 31 - 1 },
      identify: hasIdentity ? () => "ada" : undefined,
      revalidate: hasIdentity && { everyMs: 1_000, check: () => true },
      authorize: hasAuthorize ? (channel) => this.#authorize(channel) : undefined,
      cors: hasCors
        ? {
            origin: (_origin, done) => {
              this.#pending.push({ run: () => done(null, true), owner: undefined });
            },
          }
        : false,
      serialize: (data) => {
        const { owner } = data as { owner: unknown };
        this.#expectContext(owner, "serialize");
        return JSON.stringify({ ...(data as object), owner: undefined });
      },
      onError: (error) => {
        if ((error as Error).message !== "expected") this.#fail(`error: ${String(error)}`);
      },
    });
  }

  /** Connects so many clients that they are not served in one turn. */
  #gather(): void {
    if (!this.#setting.hasCrowd || !this.#chronicle.isStarted) return;
    for (let i = 0; i < CROWD; i++) {
      const exchange: ModelExchange = { wrote: () => {}, held: () => {}, outlet: undefined };
      const session = this.#createSession(exchange);
      this.#asking = undefined;
      void session.subscribe(i % 2 === 0 ? ["a", "b"] : ["a", "b", "c", "d"]);
      if (exchange.outlet !== undefined) this.#crowd.push(exchange.outlet);
    }
  }

  #createSession(exchange: ModelExchange): Session {
    return this.#hub.createSession(exchange as unknown as Exchange);
  }

  #connect(client: Client, choices: Choices): void {
    if (client.stream !== undefined && client.stream.session.state !== "closed") return;
    this.#cut(client);
    const id = this.#lastEventId(client, choices);
    const { highWaterMark, holdsHead } = this.#setting;
    const model = new Connection(id, this.#chronicle, counts, (text) => this.#fail(text));
    const exchange: ModelExchange = {
      highWaterMark: highWaterMark * (this.#setting.isLarge ? 100 : 1),
      holdsHead,
      headers: { accept: "text/event-stream", "last-event-id": id, origin: "https://a.example" },
      wrote: (bytes) => {
        if (this.#isInLoop && this.#setting.isLarge) this.#expectTurns(model, bytes.byteLength);
        model.wrote(bytes);
      },
      held: () => {
        this.#pending.push({ run: () => exchange.outlet?.sendHead(), owner: model });
      },
      outlet: undefined,
    };
    this.#within(model, () => {
      const session = this.#createSession(exchange);
      const stream = { model, session, outlet: exchange.outlet as ModelOutlet };
      client.stream = stream;
      this.#streams.push(stream);
      session.onClose((reason) => this.#closed(stream, reason, new Choices(choices.below(64))));
      const first = choices.below(12);
      if (first === 0) this.#open(stream);
      else if (first === 1) this.#send(stream);
      else this.#subscribe(stream, choices);
    });
  }

  #lastEventId({ ids }: Client, choices: Choices): string {
    const { tail, newest, keepsPast } = this.#chronicle;
    const which = choices.below(12);
    if (which === 0) return "";
    const any = this.#chronicle.idOf(choices.below(newest + 1));
    if (which === 1) return choices.of(["nonsense", "e0.99999", "e0.0", "AAAAAAAA.1", any]);
    // Comes from another process, which was ahead of this one.
    if (which === 2 && keepsPast && newest > tail) return this.#chronicle.idOf(newest);
    if (which < 5) return ids[choices.below(Math.max(1, ids.length))] ?? "";
    return ids.at(-1) ?? "";
  }

  #subscribe(stream: Stream, choices: Choices): void {
    const { model, session } = stream;
    if (session.state === "closed") return;
    const channels = choices.channels();
    const kind = choices.below(10);
    const snapshots: readonly SnapshotKind[] = [
      "sync",
      "sync",
      "held",
      "held",
      "throws",
      "rejects",
    ];
    const latest = kind === 0 || kind === 1 ? 1 + choices.below(4) : 0;
    // Failures end a stream, so they are rare.
    const isFailing = choices.below(8) === 0;
    const snapshot =
      kind < 2 || kind > 5 ? "none" : choices.of(snapshots.slice(0, isFailing ? 6 : 4));
    const how = this.#setting.hasAuthorize ? choices.of(ANSWERS) : "now";
    const isFirst = model.firstTurn === undefined;
    model.firstTurn ??= this.#turn;
    const isFirstTurn = model.firstTurn === this.#turn;
    const call = new Call(++this.#callCount, channels, {
      latest,
      snapshot,
      isFirst,
      isAwaited: isFirstTurn,
      isReplayed: model.reported !== "" && isFirstTurn && (isFirst || snapshot === "none"),
      isEarly: !this.#chronicle.isStarted,
    });
    model.calls.push(call);
    if (call.isEarly) counts.early += 1;
    if (how === "throws") model.mayClose.add("error");
    if (how === "now" && !call.isEarly) {
      for (const channel of channels) model.unsure.add(channel);
      model.takeEffect(call);
    } else if (how !== "later" && how !== "never") {
      call.phase = "answered";
      if (how === "now") call.order = ++this.#order;
    }
    const options = {
      ...(latest > 0 ? { latest } : {}),
      ...(snapshot === "none" ? {} : { snapshot: this.#snapshotOf(stream, call, choices) }),
    };
    this.#within(model, () => {
      this.#asking = { call, model, how };
      void session.subscribe(channels, options).then((result) => {
        call.result = result;
      });
      this.#asking = undefined;
    });
    if (how === "now" && !call.isEarly)
      for (const channel of channels) model.unsure.delete(channel);
  }

  #authorize(channel: string): boolean | Promise<boolean> {
    const asking = this.#asking;
    if (asking === undefined) return true;
    const { call, model, how } = asking;
    this.#expectContext(model, "authorize");
    switch (how) {
      case "now":
        return true;
      case "soon":
        return Promise.resolve(true);
      case "no":
        call.refused.add(channel);
        return false;
      case "throws":
        call.hasThrown = true;
        throw new Error("expected");
      case "never":
        call.missing += 1;
        return new Promise(() => {});
      case "later":
        call.missing += 1;
        return new Promise((resolve) => {
          const run = (choices: Choices): void => {
            const isAllowed = choices.below(16) !== 1;
            if (!isAllowed) call.refused.add(channel);
            call.missing -= 1;
            if (call.missing === 0 && call.phase === "asked") call.phase = "answered";
            resolve(isAllowed);
          };
          this.#pending.push({ run, owner: model });
        });
    }
  }

  #snapshotOf(
    { model, session }: Stream,
    call: Call,
    choices: Choices,
  ): () => SnapshotMessages | Promise<SnapshotMessages> {
    const of = 1 + choices.below(MAX_PARTS);
    const aside = choices.below(16);
    const padding = this.#setting.isLarge ? "x".repeat(30_000) : "";
    return () => {
      this.#expectContext(model, "snapshot");
      const take = model.takeState(call);
      const messages = Array.from({ length: of }, (_, part) => ({
        event: "state",
        data: { call: call.number, take, part, of, padding, owner: model },
      }));
      // Side effects of a snapshot besides its state. Only once: two that push each other out of the window would never
      // end.
      if (aside === 0 && take === 1) this.#publishAside();
      else if (aside === 1) this.#unsubscribeOf(model, session, [...call.wanted]);
      else if (aside === 2) this.#unsubscribeOf(model, session, ["b"]);
      else if (aside === 3 && call.number % 4 === 0) this.#closeOf(model, session);
      if (call.snapshot === "throws") {
        model.mayClose.add("error");
        throw new Error("expected");
      }
      if (call.snapshot === "sync") return messages;
      call.isHeld = true;
      return new Promise((resolve, reject) => {
        const run = (): void => {
          if (call.take === take) call.isHeld = false;
          if (call.snapshot === "held") return resolve(messages);
          if (call.take === take && call.members.size > 0) model.mayClose.add("error");
          reject(new Error("expected"));
        };
        this.#pending.push({ run, owner: model });
      });
    };
  }

  #unsubscribe(stream: Stream | undefined, channels: readonly string[]): void {
    if (stream !== undefined) this.#unsubscribeOf(stream.model, stream.session, channels);
  }

  #unsubscribeOf(model: Connection, session: Session, channels: readonly string[]): void {
    const before = [...model.unsure];
    for (const channel of channels) model.unsure.add(channel);
    session.unsubscribe(channels);
    model.unsure.clear();
    for (const channel of before) model.unsure.add(channel);
    model.leave(channels);
  }

  #open({ model, session }: Stream): void {
    model.isOpenedByRoute = true;
    session.open();
  }

  #complete(stream: Stream | undefined): void {
    if (stream === undefined || stream.session.state === "closed") return;
    const { model, session } = stream;
    model.completing ??= {
      tail: this.#chronicle.tail,
      calls: model.calls.filter(({ phase }) => phase !== "over"),
      since: clock.time,
    };
    model.mayClose.add("completed");
    model.isOpenedByRoute = true;
    void session.complete();
  }

  #send(stream: Stream | undefined): void {
    if (stream === undefined || stream.session.state === "closed") return;
    const { model, session, outlet } = stream;
    // A stream whose events do not fit into one write is behind.
    const keepsUp = !outlet.isBlocked && !outlet.hasStopped && !this.#setting.isLarge;
    model.wasLive = outlet.reader?.isLive === true && keepsUp;
    model.isOpenedByRoute = true;
    this.#within(model, () => {
      void session.send({ event: "sent", data: `${++model.sent}` });
    });
    model.wasLive = false;
  }

  #close(stream: Stream | undefined): void {
    if (stream !== undefined) this.#closeOf(stream.model, stream.session);
  }

  #closeOf(model: Connection, session: Session): void {
    model.mayClose.add("ended");
    session.close();
    if (session.state !== "closed") this.#fail("close() has not closed");
  }

  #closed({ model, outlet }: Stream, reason: CloseReason, choices: Choices): void {
    this.#expectContext(model, "onClose");
    model.isClosed = true;
    const isSlow = reason === "slow" && outlet.hasStopped;
    if (reason === "completed") counts.completed += 1;
    if (!model.mayClose.has(reason) && !isSlow) this.#fail(`closed with ${reason}`);
    // It may come from within a delivery to others, and affect them in any way.
    if (reason !== "error" && reason !== "slow") return;
    const other = choices.of(this.#clients).stream;
    const what = choices.below(5);
    if (what === 0) this.#publishAside();
    else if (what === 1) this.#unsubscribe(other, choices.channels());
    else if (what === 2) this.#close(other);
    else if (what === 3) this.#reset("fork", choices.below(10));
  }

  #cut(client: Client): void {
    const { stream } = client;
    if (stream === undefined) return;
    const { model, session, outlet } = stream;
    client.stream = undefined;
    const id = model.lastEventId(outlet.progress);
    if (client.ids.at(-1) !== id) client.ids.push(id);
    model.mayClose.add("client");
    outlet.leave();
    if (session.state !== "closed") this.#fail("a client that has left is not closed");
    this.#streams = this.#streams.filter((one) => one !== stream);
    this.#pending = this.#pending.filter(({ owner }) => owner !== model);
  }

  #publish(channel: string): void {
    const position = this.#chronicle.newest + 1;
    const data = this.#setting.isLarge ? `${position} ${"x".repeat(30_000)}` : `${position}`;
    this.#within(PUBLISHER, () => {
      void this.#hub
        .publish(channel, position % 2 === 0 ? { event: "delta", data } : data)
        .catch((error: unknown) => this.#fail(`publish: ${String(error)}`));
    });
  }

  /** Publishes from within a callback. While a call takes effect, the order of the two is undefined. */
  #publishAside(): void {
    const isJoining = this.#streams.some(({ model }) => model.unsure.size > 0);
    if (!isJoining) this.#publish("a");
  }

  /** @returns `undefined` if nothing is pending: waiting for nothing would let promise jobs run. */
  #resolve(choices: Choices): Promise<void> | undefined {
    const [pending] = this.#pending.splice(choices.below(Math.max(1, this.#pending.length)), 1);
    return pending && this.#answer(pending, choices);
  }

  async #answer(pending: Pending, choices: Choices): Promise<void> {
    // One at a time, because their order is not defined.
    await this.#jobs();
    pending.run(choices);
    await this.#jobs();
  }

  #reset(reason: "fork" | "trimmed", back: number): void {
    if (!this.#chronicle.isStarted) return;
    for (const { model, session } of this.#streams) {
      if (session.state !== "closed") model.voidAll(this.#log.survives(reason, model.reported));
    }
    for (const reader of [...this.#readers, ...this.#left]) {
      const isKnown = reader?.after !== undefined && this.#log.survives(reason, reader.after);
      reader?.voidAll(reason, isKnown);
    }
    this.#log.reset(reason, back);
  }

  async #restart(): Promise<void> {
    for (const client of this.#clients) this.#cut(client);
    for (const outlet of this.#crowd) outlet.leave();
    this.#crowd = [];
    await this.#endReaders();
    this.#pending = [];
    await this.#endTurn();
    this.#chronicle.isStarted = false;
    this.#log = this.#openLog();
    this.#hub = this.#openHub();
    this.#gather();
  }

  /** Closes the hub. Every reader gets what is there, and then ends. */
  async #endReaders(): Promise<void> {
    const readers = this.#readers.filter((reader) => reader !== undefined);
    for (const reader of readers) reader.ends();
    const end = { isClosed: false };
    void this.#hub.close().then(() => {
      end.isClosed = true;
    });
    for (const reader of readers) this.#loopOn(reader);
    for (let round = 0; !end.isClosed || !clock.isQuiet; round++) {
      if (round > 20_000) throw new Error("There is no end to it");
      await this.#loop();
      if (clock.isQuiet) await this.#pass(100);
    }
    await this.#endTurn();
    for (const reader of [...readers, ...this.#left]) reader.expectEnd();
    this.#left = [];
    this.#readers.fill(undefined);
  }

  #driveLog(choices: Choices): Promise<void> | undefined {
    const what = choices.below(6);
    if (what > 2) return this.#startLog();
    if (what === 0) {
      this.#log.trim(choices.below(10));
      for (const { model } of this.#streams) model.trimmed();
      for (const reader of this.#readers) reader?.trimmed();
    } else if (what === 1) {
      this.#log.lags = true;
    } else {
      this.#log.lags = false;
      this.#log.arrive();
    }
    return undefined;
  }

  async #startLog(): Promise<void> {
    await this.#jobs();
    const wasStarted = this.#chronicle.isStarted;
    this.#log.startOn();
    for (const { model, session } of wasStarted ? [] : this.#streams) {
      model.isOpenedEarly = session.state !== "idle";
      for (const call of model.calls) call.hasWaited = call.phase === "answered";
    }
    if (!wasStarted && this.#chronicle.isStarted) {
      for (const reader of this.#readers) reader?.started();
    }
    await this.#jobs();
  }

  /** Answered calls take effect in the next promise jobs. */
  #beforeJobs(): void {
    for (const { model, session } of this.#streams) {
      const answered = model.calls.filter(({ phase }) => phase === "answered");
      for (const call of answered) {
        if (session.state === "closed") call.phase = "over";
        else if (call.hasThrown) call.phase = "over";
        else if ([...call.refused].some((channel) => call.wanted.has(channel))) {
          call.phase = "over";
          model.mayClose.add("refused");
        } else if (call.order === Infinity) call.order = ++this.#order;
        if (call.since === Infinity) call.since = clock.time;
      }
      if (!this.#chronicle.isStarted) continue;
      const ready = answered.filter(({ phase }) => phase === "answered");
      for (const call of ready.toSorted((one, other) => one.order - other.order)) {
        for (const channel of call.wanted) model.unsure.add(channel);
        model.takeEffect(call);
      }
    }
  }

  /** Runs the promise jobs of this turn. */
  async #jobs(): Promise<void> {
    this.#beforeJobs();
    for (let i = 0; i < JOBS; i++) await Promise.resolve();
    for (const { model } of this.#streams) model.unsure.clear();
  }

  /** Ends this turn: other turns may follow before the next round of the event loop. */
  async #endTurn(): Promise<void> {
    await this.#jobs();
    await new Promise((resolve) => {
      realImmediate(resolve);
    });
    this.#turn += 1;
  }

  /** Runs one round of the event loop. */
  async #loop(): Promise<void> {
    await this.#endTurn();
    for (const run of clock.takeImmediates()) {
      this.#isInLoop = true;
      run();
      this.#isInLoop = false;
      await this.#endTurn();
    }
  }

  /** A stream was given bytes: subscriptions that are behind must get their turns too. */
  #expectTurns(writer: Connection, bytes: number): void {
    writer.passedBy = 0;
    const isBehind = this.#streams.some(
      ({ model, outlet }) => model === writer && outlet.reader?.isLive === false,
    );
    if (!isBehind) return;
    for (const stream of this.#streams) {
      const { model, outlet } = stream;
      if (model === writer) continue;
      const isReady = outlet.reader?.isLive === false && !outlet.isBlocked && model.hasDue;
      if (!isReady || this.#isWaiting(stream)) model.passedBy = 0;
      else if ((model.passedBy += bytes) > MAX_PASSED) this.#fail("one that is behind has no turn");
    }
  }

  async #pass(ms: number): Promise<void> {
    await this.#endTurn();
    for (const run of clock.pass(ms)) {
      run();
      await this.#endTurn();
    }
    this.#expectHeads();
    // The wait of `complete()` for late events begins with the last answer.
    for (const { model } of this.#streams) {
      const isAnswered = model.calls.every((call) => !call.isPending);
      if (model.completing !== undefined && !isAnswered) model.completing.since = clock.time;
    }
  }

  /** A starting log holds back a head for a second, no longer and no shorter. */
  #expectHeads(): void {
    if (this.#chronicle.isStarted) return;
    for (const { model, session } of this.#streams) {
      const waiting = model.calls.filter(({ phase }) => phase === "answered");
      const heldMs = clock.time - Math.min(...waiting.map(({ since }) => since));
      if (session.state === "idle" && heldMs > HOLD_MS + CLOCK_ERROR_MS) {
        this.#fail(`a head was held back for ${heldMs} ms`);
      }
      const longestMs = clock.time - Math.min(...model.calls.map(({ since }) => since));
      const isTooSoon = longestMs < HOLD_MS - CLOCK_ERROR_MS && !model.isOpenedByRoute;
      const isOpened = session.state !== "idle" && session.state !== "closed";
      if (isOpened && isTooSoon) this.#fail(`a head was held back for ${longestMs} ms only`);
    }
  }

  /** Runs the event loop until it is idle. Then every stream that is not waiting has everything. */
  async #settleDown(): Promise<void> {
    await this.#loop();
    for (let round = 0; !clock.isQuiet; round++) {
      // A crowd that has to catch up on a thousand large events may take one slice per round.
      if (round > 20_000) throw new Error("There is no end to it");
      await this.#loop();
    }
    for (const stream of this.#streams) if (!this.#isWaiting(stream)) stream.model.expectAll();
    for (const reader of this.#left) reader.expectEnd();
    this.#left = [];
    if (!this.#chronicle.isStarted || this.#isLogAsked) return;
    for (const reader of this.#readers) reader?.expectAll();
  }

  #isWaiting({ model, session, outlet }: Stream): boolean {
    if (session.state !== "open" || outlet.hasStopped || !this.#chronicle.isStarted) return true;
    if (model.calls.some((call) => call.isHeld && call.members.size > 0)) return true;
    const isEarly = model.calls.some((call) => call.isEarly && call.isPending);
    // Waits for answers, and for events that the log has not delivered back.
    const lags = this.#chronicle.newest > this.#chronicle.tail;
    const since = model.completing?.since ?? -Infinity;
    // An event that was added to a replaced history is found missing twice before it counts as lost.
    const mayMiss = this.#chronicle.wasReplaced && clock.time - since < MISSED_MS + CLOCK_ERROR_MS;
    const isCompleting =
      model.completing !== undefined &&
      (lags || mayMiss || model.calls.some((call) => call.isPending));
    return model.isAwaiting || isEarly || isCompleting || this.#isLogAsked;
  }

  get #isLogAsked(): boolean {
    return this.#pending.some(({ owner }) => owner === undefined);
  }

  /**
   * Answers, sends and reads everything. Then all clients have everything, and nothing remains after they have left.
   */
  async #finish(): Promise<void> {
    await this.#startLog();
    await this.#startLog();
    this.#log.lags = false;
    this.#log.arrive();
    for (let round = 0; round < 5 || this.#pending.length > 0; round++) {
      if (round > 1_000) throw new Error("There is no end to it");
      for (const { outlet } of this.#streams) outlet.readOn();
      await this.#resolve(new Choices(0));
      if (this.#pending.length > 0) continue;
      await this.#settleDown();
      // Late events are looked up, and are lost if the log does not hold them.
      await this.#pass(500);
    }
    this.#check();
    for (const reader of this.#readers) this.#loopOn(reader);
    // Calls without an answer are abandoned.
    for (const stream of this.#streams) {
      for (const call of stream.model.calls) {
        if (call.isPending) this.#unsubscribe(stream, [...call.wanted]);
      }
    }
    for (let round = 0; round < 5 || this.#pending.length > 0; round++) {
      await this.#resolve(new Choices(0));
      if (this.#pending.length > 0) continue;
      await this.#settleDown();
      // A stream that waited for an abandoned call completes only now.
      await this.#pass(500);
    }
    // All remaining streams are live.
    for (const channel of CHANNELS) this.#publish(channel);
    await this.#settleDown();
    for (const { model, session } of this.#streams) {
      if (session.state === "closed") continue;
      for (const { phase, result, number, members } of model.calls) {
        const isOther = phase === "over" ? result !== false : result !== true && members.size > 0;
        if (isOther) this.#fail(`call ${number} gave ${result}`);
      }
    }
    this.#check();
    counts.replays += this.#hub.stats().replays;
    for (const client of this.#clients) this.#cut(client);
    for (const outlet of this.#crowd) outlet.leave();
    for (const channel of CHANNELS) this.#publish(channel);
    await this.#endReaders();
    const { sessions, channels } = this.#hub.stats();
    if (sessions.connecting + sessions.open + channels > 0) this.#fail("something is left behind");
    this.#check();
  }

  #within<Result>(context: unknown, run: () => Result): Result {
    return this.#setting.hasContexts ? contexts.run(context, run) : run();
  }

  #expectContext(context: unknown, what: string): void {
    if (!this.#setting.hasContexts) return;
    counts.contexts += 1;
    if (contexts.getStore() !== context) this.#fail(`${what} runs in another context`);
  }

  #fail(text: string): void {
    this.#failures.push(text);
  }

  /** `hub.stats()` keeps its counts; a visit to all sessions has to find the same. */
  #checkStats(): void {
    const found = { connecting: 0, open: 0, live: 0, behind: 0 };
    for (const outlet of [...this.#streams.map((stream) => stream.outlet), ...this.#crowd]) {
      const { state } = outlet.owner as unknown as Session;
      if (state !== "connecting" && state !== "open") continue;
      found[state] += 1;
      if (state === "open" && outlet.reader !== undefined) {
        found[outlet.reader.isLive ? "live" : "behind"] += 1;
      }
    }
    const { sessions } = this.#hub.stats();
    for (const [state, count] of Object.entries(found)) {
      const kept = sessions[state as keyof typeof found];
      if (kept !== count) this.#fail(`stats: ${kept} ${state}, found ${count}`);
    }
  }

  #check(): void {
    if (this.#failures.length === 0) return;
    const wires = this.#streams.map(
      ({ model, outlet }) => `${model.describe()}\n${outlet.text.replaceAll(/x{9,}/g, "x…")}`,
    );
    throw new Error(
      [...this.#failures, "after", ...this.#trace, "with streams", ...wires].join("\n"),
    );
  }
}

type Answer = "now" | "soon" | "later" | "never" | "no" | "throws";

const ANSWERS: readonly Answer[] = [
  ...Array<Answer>(14).fill("now"),
  ...Array<Answer>(6).fill("soon"),
  ...Array<Answer>(10).fill("later"),
  "never",
  "no",
  "throws",
];

/** The real functions: during an interleaving, the test's clock is in charge. */
const { setTimeout: delay, clearTimeout: undelay } = globalThis;

/** A run that hangs is not shrunk, because each attempt would take as long. */
let hasHung = false;

async function play(setting: Scenario): Promise<void> {
  if (hasHung) return;
  clock = new Clock();
  clock.tick = setting.tick;
  const world = new World(setting);
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_resolve, reject) => {
    timer = delay(() => {
      hasHung = true;
      reject(new Error(`Not over after ${HANG_MS} ms`));
    }, HANG_MS);
  });
  try {
    await Promise.race([world.play(), hang]);
  } finally {
    undelay(timer);
    await Promise.race([world.tidy(), hang]);
  }
}

it(
  "every event of its channels reaches a stream once and in order, or a reset names them all: in every order of calls",
  { timeout: TIMEOUT_MS },
  async () => {
    const start = Date.now();
    await fc.assert(fc.asyncProperty(scenario, play), { numRuns: RUNS, seed: SEED, path: PATH });
    console.error(`seed ${SEED}: ${RUNS} interleavings in ${Date.now() - start} ms`, counts);
    expect(counts.causeless).toBe(0);
    for (const [name, count] of Object.entries(counts)) {
      if (name !== "causeless") expect(count, name).toBeGreaterThan(0);
    }
  },
);

it.runIf(SOAK > 0)(
  "the same for the number of deliveries requested for the soak",
  { timeout: Math.max(600_000, SOAK / 2) },
  async () => {
    const before = counts.events;
    for (let seed = SEED; counts.events - before < SOAK; seed++) {
      await fc.assert(fc.asyncProperty(scenario, play), { numRuns: 1_000, seed });
      if ((seed - SEED) % 10 === 9) {
        console.error(`seeds ${SEED} to ${seed}: ${counts.events - before} deliveries`);
      }
    }
    console.error(`seed ${SEED}: ${counts.events - before} deliveries`, counts);
    expect(counts.causeless).toBe(0);
  },
);
