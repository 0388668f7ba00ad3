/**
 * The model of a stream, independent of the implementation: everything published, and for each connection the writes
 * that are valid at present. The core's property test checks each write against it.
 */

import type {
  FoundId,
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPage,
  LogPast,
  PastRoom,
} from "../../src/log/log.js";
import { memoryLog } from "../../src/log/memory-log.js";
import type { OutletSettings } from "../../src/outlet/outlet.js";
import { MemoryOutlet } from "../memory-outlet.js";
import type { MemoryOutletOptions } from "../memory-outlet.js";

/** Value for a client without a position. */
const NO_POSITION = -1;

/** Everything published, by position, and how much of it one process has and keeps. */
export class Chronicle {
  /** `true`: the log can be read back. `false`: entries that the process has not kept are gone. */
  readonly keepsPast: boolean;
  readonly #maxEvents: number;
  /** By position; the first is the start of the log. */
  readonly #ids: string[] = [""];
  readonly #channels: string[] = [""];
  readonly #byChannel = new Map<string, number[]>();
  readonly #places = new Map<string, { readonly position: number; readonly epoch: number }>();
  /** Incremented with each replacement of the history, which voids earlier ids. */
  epoch = 0;
  /** Number in the id of position 0. Smaller in each new history, which uses numbers of the lost one again. */
  firstNumber = 1_000_000;
  /** Whether the history was replaced. */
  wasReplaced = false;
  /** Position of the newest entry that the process has. */
  tail = 0;
  /** The process has everything after it. */
  base = 0;
  /** Entries up to here are gone from the log. */
  trimmed = 0;
  /** `true` once the process knows a position of the log. */
  isStarted = false;

  constructor(keepsPast: boolean, maxEvents: number) {
    this.keepsPast = keepsPast;
    this.#maxEvents = maxEvents;
  }

  /** Position of the log's newest entry. */
  get newest(): number {
    return this.#ids.length - 1;
  }

  /** First position kept for replay. */
  get keptFrom(): number {
    const byCount = this.tail - this.#maxEvents + 1;
    const own = Math.max(this.base + 1, byCount);
    return this.keepsPast ? Math.min(own, Math.max(this.trimmed + 1, byCount)) : own;
  }

  /** `true` if the last dropped entry of every channel is known. */
  get knowsDropped(): boolean {
    return this.#byChannel.size <= this.#maxEvents;
  }

  add(channel: string, id: string): number {
    const position = this.#ids.push(id) - 1;
    this.#channels.push(channel);
    this.#places.set(id, { position, epoch: this.epoch });
    const own = this.#byChannel.get(channel);
    if (own === undefined) this.#byChannel.set(channel, [position]);
    else own.push(position);
    return position;
  }

  channelOf(position: number): string | undefined {
    return this.#channels[position];
  }

  idOf(position: number): string {
    return this.#ids[position] ?? "";
  }

  /** @returns The position of an id in the present history; `undefined` for any other. */
  place(id: string): number | undefined {
    const place = this.#places.get(id);
    return place?.epoch === this.epoch ? place.position : undefined;
  }

  /** @returns The first position of a channel after another one; `Infinity` if there is none. */
  firstAfter(channel: string, position: number): number {
    const own = this.#byChannel.get(channel) ?? [];
    let low = 0;
    for (let high = own.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((own[middle] as number) > position) high = middle;
      else low = middle + 1;
    }
    return own[low] ?? Infinity;
  }

  /** @returns The last positions of these channels, in order, limited to a count. */
  lastOf(channels: ReadonlySet<string>, from: number, upTo: number, count: number): number[] {
    const found: number[] = [];
    for (let position = upTo; position >= from && found.length < count; position--) {
      if (channels.has(this.#channels[position] ?? "")) found.unshift(position);
    }
    return found;
  }

  /** A process starts at the newest entry. */
  begin(id: string = this.idOf(this.newest)): string {
    this.#settle(id);
    return id;
  }

  /** @returns The id that an entry at a position gets, in a log that keeps its past. */
  nextId(position: number): string {
    return `e${this.epoch}.${this.firstNumber + position}`;
  }

  /**
   * A new history begins, in which all earlier ids are void.
   *
   * @param back - Number of ids that it uses again.
   */
  fork(back: number): void {
    this.wasReplaced = true;
    this.firstNumber -= back;
    this.epoch += 1;
  }

  /** The log continues after `id`, and earlier positions are void. */
  restart(id: string, isFork: boolean): void {
    // Entries that the process has not received belong to no history.
    if (isFork) {
      for (const own of this.#byChannel.values()) {
        while ((own.at(-1) ?? 0) > this.tail) own.pop();
      }
    }
    this.#settle(id);
    this.trimmed = this.newest;
  }

  #settle(id: string): void {
    this.base = this.newest;
    this.tail = this.newest;
    this.#ids[this.newest] = id;
    this.#places.set(id, { position: this.newest, epoch: this.epoch });
  }
}

/** A log driven by the test: in memory, or one that keeps its past, starts late and lags on command. */
export class ModelLog implements Log {
  readonly past: LogPast | undefined;
  /** `true`: appended entries reach the process on command. */
  lags = false;
  readonly #chronicle: Chronicle;
  readonly #messages: LogMessage[];
  readonly #memory = memoryLog();
  readonly #pageSize: number;
  #follower: LogFollower | undefined;
  #started: ((id: string) => void) | undefined;
  #isPinned = true;
  #pinnedId = "";

  /**
   * @param messages - Published messages by position, which outlive the process.
   * @param wait - Receives actions that the test triggers later.
   */
  constructor(
    chronicle: Chronicle,
    messages: LogMessage[],
    wait: (run: () => void) => void,
    { isLate, pageSize }: { readonly isLate: boolean; readonly pageSize: number },
  ) {
    this.#chronicle = chronicle;
    this.#messages = messages;
    this.#pageSize = pageSize;
    if (!chronicle.keepsPast) return;
    this.#isPinned = !isLate;
    const whenTold = <Result>(answer: () => Result): Promise<Result> =>
      new Promise((resolve) => {
        wait(() => resolve(answer()));
      });
    this.past = {
      find: (ids) => whenTold(() => ids.map((id) => this.#find(id))),
      get wasReplaced() {
        return chronicle.wasReplaced;
      },
      read: (after, upTo, room = {}) => whenTold(() => this.#page(after, upTo, room)),
      sync: () => whenTold(() => this.arrive()),
    };
  }

  start(follower: LogFollower): string | Promise<string> {
    this.#follower = follower;
    const chronicle = this.#chronicle;
    if (!chronicle.keepsPast) {
      const entries = ([entry]: readonly LogEntry[]): boolean => {
        if (entry === undefined) return false;
        chronicle.tail = chronicle.add(entry.channel, entry.id);
        return follower.entries([entry]);
      };
      const id = this.#memory.start({ entries, reset: () => {}, failed: () => {} }) as string;
      chronicle.fork(0);
      chronicle.restart(id, true);
      chronicle.isStarted = true;
      return id;
    }
    if (this.#isPinned) {
      chronicle.isStarted = true;
      return chronicle.begin(this.#firstId());
    }
    return new Promise((resolve) => {
      this.#started = resolve;
    });
  }

  /** A log that starts late finds its position; a second call reports it. */
  startOn(): void {
    const resolve = this.#started;
    if (resolve === undefined) return;
    if (!this.#isPinned) {
      this.#isPinned = true;
      this.#pinnedId = this.#chronicle.begin(this.#firstId());
      return;
    }
    this.#started = undefined;
    this.#chronicle.isStarted = true;
    resolve(this.#pinnedId);
  }

  async append(channel: string, message: LogMessage): Promise<string> {
    const chronicle = this.#chronicle;
    if (!chronicle.keepsPast) return this.#memory.append(channel, message);
    const id = chronicle.nextId(chronicle.newest + 1);
    this.#messages[chronicle.add(channel, id)] = message;
    if (!this.lags) this.arrive();
    return id;
  }

  /** Delivers everything in the log to the process. */
  arrive(): void {
    const chronicle = this.#chronicle;
    if (!chronicle.keepsPast || !this.#isPinned) return;
    const from = chronicle.tail + 1;
    if (from > chronicle.newest) return;
    chronicle.tail = chronicle.newest;
    this.#follower?.entries(this.#entries(from, chronicle.newest));
  }

  /**
   * The history was replaced, or undelivered entries were trimmed together with all earlier ones.
   *
   * @param back - Number of ids that a new history uses again.
   */
  reset(reason: "fork" | "trimmed", back: number): void {
    const chronicle = this.#chronicle;
    if (!this.#isPinned) return;
    const isFork = reason === "fork" || !chronicle.keepsPast;
    const newest = chronicle.idOf(chronicle.newest);
    if (isFork) chronicle.fork(back);
    const isNewId = isFork && chronicle.keepsPast;
    const id = isNewId ? chronicle.nextId(chronicle.newest) : newest;
    chronicle.restart(id, isFork);
    this.#follower?.reset(reason, id);
  }

  /** Whether a present id still has a place after a reset, without a loss after it. */
  survives(reason: "fork" | "trimmed", id: string): boolean {
    const chronicle = this.#chronicle;
    const place = chronicle.place(id);
    if (place === undefined || !chronicle.keepsPast) return place === chronicle.newest;
    return reason === "trimmed" && place >= chronicle.trimmed;
  }

  /** The log drops all but its newest entries. */
  trim(left: number): void {
    const chronicle = this.#chronicle;
    if (!chronicle.keepsPast) return;
    chronicle.trimmed = Math.max(chronicle.trimmed, chronicle.newest - left);
  }

  compare(a: string, b: string): number {
    if (!this.#chronicle.keepsPast) return this.#memory.compare(a, b);
    const [epoch = NaN, number = NaN] = partsOf(a);
    const [otherEpoch = NaN, otherNumber = NaN] = partsOf(b);
    return number - otherNumber || epoch - otherEpoch;
  }

  health(): LogHealth {
    return { state: "live", lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {}

  #firstId(): string {
    const { newest } = this.#chronicle;
    return newest === 0 ? this.#chronicle.nextId(0) : this.#chronicle.idOf(newest);
  }

  #entries(from: number, to: number): LogEntry[] {
    const entries: LogEntry[] = [];
    for (let position = from; position <= to; position++) {
      const channel = this.#chronicle.channelOf(position) as string;
      const id = this.#chronicle.idOf(position);
      entries.push({ ...(this.#messages[position] as LogMessage), channel, id });
    }
    return entries;
  }

  #find(id: string): FoundId {
    const position = this.#chronicle.place(id);
    if (position === undefined) return "unknown";
    return position < this.#chronicle.trimmed ? "trimmed" : { missedMs: 0 };
  }

  #page(
    after: string | undefined,
    upTo: string,
    { maxEntries = Infinity, hasUpTo = false }: PastRoom,
  ): LogPage | "trimmed" | "unknown" {
    const chronicle = this.#chronicle;
    const last = chronicle.place(upTo);
    const first = after === undefined ? chronicle.trimmed : chronicle.place(after);
    if (first === undefined) return "unknown";
    if (last === undefined || last < chronicle.trimmed || first < chronicle.trimmed)
      return "trimmed";
    const end = hasUpTo ? last - 1 : last;
    const start = Math.max(first, end - Math.min(this.#pageSize, maxEntries));
    const entries = this.#entries(start + 1, end).map((entry) => ({ ...entry, ageMs: 0 }));
    return { entries, isLast: start === first };
  }
}

/** @returns Epoch and number of an id; nothing for any other text. */
function partsOf(id: string): number[] {
  return (/^e(\d+)\.(\d+)$/.exec(id)?.slice(1) ?? []).map(Number);
}

/** Stands in for the request and response of a {@link ModelOutlet}. */
export interface ModelExchange extends MemoryOutletOptions {
  /** Called with all bytes, right before they are written. */
  readonly wrote: (bytes: Uint8Array) => void;
  /** Called when the head is held back. */
  readonly held: () => void;
  outlet: ModelOutlet | undefined;
}

/** An outlet that reports each write as it happens. */
export class ModelOutlet extends MemoryOutlet {
  /** `true`: the next write throws, as a wrapper around a response may. */
  throwsNext = false;
  /** `true` while the client does not read by itself. */
  hasStopped = false;
  readonly #exchange: ModelExchange;

  constructor(exchange: ModelExchange, settings: OutletSettings) {
    super(exchange, settings);
    this.#exchange = exchange;
    // The only way to return it, because the hub creates it.
    exchange.outlet = this;
  }

  protected override put(bytes: Uint8Array): boolean {
    if (this.throwsNext) {
      this.throwsNext = false;
      throw new Error("expected");
    }
    if (!this.isClosed) this.#exchange.wrote(bytes);
    return super.put(bytes);
  }

  override start(status: number): void {
    super.start(status);
    if (this.#exchange.holdsHead === true) this.#exchange.held();
  }

  override stopReading(): void {
    this.hasStopped = true;
    super.stopReading();
  }

  override readOn(): void {
    this.hasStopped = false;
    super.readOn();
  }
}

/** How the state of a call's channels is provided. */
export type SnapshotKind = "none" | "sync" | "held" | "throws" | "rejects";

/** One call of `subscribe`. */
export class Call {
  readonly number: number;
  readonly latest: number;
  readonly snapshot: SnapshotKind;
  /** Whether it takes part in the replay, which only its turn decides. */
  readonly isReplayed: boolean;
  /** Whether the replay waits for it. */
  readonly isAwaited: boolean;
  /** Whether it is the first of its stream. */
  readonly isFirst: boolean;
  /** Whether it was made before the log had a position. */
  readonly isEarly: boolean;
  /** The call's channels, except those left since. */
  readonly wanted: Set<string>;
  /** Channels of these that have joined and were not left since. */
  readonly members = new Set<string>();
  /** `asked`, `answered`, and after the next promise jobs `effective` or `over`. */
  phase: "asked" | "answered" | "effective" | "over" = "asked";
  /** Number of missing answers. */
  missing = 0;
  readonly refused = new Set<string>();
  hasThrown = false;
  /** Whether it was answered before the log had a position. */
  hasWaited = false;
  /** When it started to wait for the log. */
  since = Infinity;
  /** Order in which calls wait for the log. */
  order = Infinity;
  /** Whether the state of its channels must be written; `undefined`: optional. */
  owesState: boolean | undefined = false;
  /** Whether it must come before any position. */
  comesFirst = false;
  /** Whether a state was taken since it became due. */
  isTaken = false;
  /** Number of the last state that was taken. */
  take = 0;
  takenAt = NO_POSITION;
  /** Number of its messages that were written. */
  parts = 0;
  isHeld = false;
  /** Whether the newest events must be written; `undefined`: optional. */
  owesLatest: boolean | undefined = false;
  latestUpTo = NO_POSITION;
  readonly latestSeen: number[] = [];
  /** Events that must at least be included when the first of them is written. */
  latestDue: readonly number[] | undefined;
  /** Result of `subscribe`. */
  result: boolean | undefined;

  constructor(
    number: number,
    channels: readonly string[],
    given: Pick<Call, "latest" | "snapshot" | "isReplayed" | "isAwaited" | "isFirst" | "isEarly">,
  ) {
    this.number = number;
    this.wanted = new Set(channels);
    this.latest = given.latest;
    this.snapshot = given.snapshot;
    this.isReplayed = given.isReplayed;
    this.isAwaited = given.isAwaited;
    this.isFirst = given.isFirst;
    this.isEarly = given.isEarly;
  }

  get isPending(): boolean {
    return this.phase === "asked" || this.phase === "answered";
  }
}

/** A channel of a stream. */
interface Member {
  readonly call: Call;
  /** Events up to here must not be written any more. */
  from: number;
  /** All later events must be written. Usually equal to `from`. */
  due: number;
  /** `true`: a reset must be written first. */
  owesReset: boolean;
}

/** The model of one stream. */
export class Connection {
  readonly reported: string;
  readonly calls: Call[] = [];
  readonly members = new Map<string, Member>();
  /** Channels being joined or left right now, which may or may not belong to the stream. */
  readonly unsure = new Set<string>();
  /** Allowed close reasons of the session. */
  readonly mayClose = new Set<string>();
  /** Turn of the first call; `undefined` before it. */
  firstTurn: number | undefined;
  /** Set by `complete()`: events published until then, and calls made before. */
  completing: { readonly tail: number; readonly calls: readonly Call[]; since: number } | undefined;
  isClosed = false;
  /** Whether the route has opened it explicitly, before or after subscribing. */
  isOpenedByRoute = false;
  /** Whether it opened before the log had a position. */
  isOpenedEarly = false;
  /** Last position sent to the client. */
  told = NO_POSITION;
  /** Channels with a cause for a reset other than lost events. */
  readonly #causes = new Set<string>();
  /** Bytes that others got while it was behind. */
  passedBy = 0;
  /** Number of messages sent; the next field counts those received. */
  sent = 0;
  sentSeen = 0;
  /** Whether the stream had everything when the application sent the last message. */
  wasLive = false;
  readonly #chronicle: Chronicle;
  readonly #fail: (text: string) => void;
  readonly #counts: Counts;
  /** Ids that the client gets, each with the byte count at which it has it. */
  readonly #ids: { readonly end: number; readonly id: string }[];
  #written = 0;
  /** Start of a block that is not complete yet: a large one may be written in parts. */
  #hasRetry = false;
  #hasCursor = false;
  #rest = "";
  /** Tail of the process when the connection was made. */
  readonly #firstTail: number;
  /** Whether the client's position has been decided. */
  #isPlaced = false;

  constructor(
    reported: string,
    chronicle: Chronicle,
    counts: Counts,
    fail: (text: string) => void,
  ) {
    this.reported = reported;
    this.#chronicle = chronicle;
    this.#firstTail = chronicle.tail;
    this.#counts = counts;
    this.#fail = fail;
    this.#ids = [{ end: 0, id: reported }];
  }

  /** @returns The last event ID of a client that has read this many bytes. */
  lastEventId(taken: number): string {
    return this.#ids.findLast(({ end }) => end <= taken)?.id ?? "";
  }

  /** Describes the expectation for a failure. */
  describe(): string {
    const calls = this.calls.map((call) => {
      const { number, phase, latest, snapshot, isReplayed, isEarly } = call;
      const options = `latest ${latest}, snapshot ${snapshot}, replayed ${isReplayed}`;
      return `call ${number}: ${[...call.wanted].join()} ${phase}, ${options}, early ${isEarly}`;
    });
    const members = [...this.members].map(
      ([channel, { from, due, owesReset }]) => `${channel} ${from} ${due} ${owesReset}`,
    );
    const state = `told ${this.told}, causes ${[...this.#causes].join()}, closed ${this.isClosed}`;
    return [`stream from "${this.reported}": ${state}`, ...calls, ...members].join("\n");
  }

  /** Whether the replay, or a reset in its place, has to wait for an answer. */
  get isAwaiting(): boolean {
    return this.reported !== "" && this.calls.some((call) => call.isAwaited && call.isPending);
  }

  /** Whether a new stream waits for its first call, whose state precedes any position. */
  get waitsForFirst(): boolean {
    return this.calls.some((call) => call.isFirst && call.snapshot !== "none" && call.isPending);
  }

  /** Whether an event is due. */
  get hasDue(): boolean {
    if (this.waitsForFirst) return false;
    const { keptFrom, tail } = this.#chronicle;
    for (const [channel, { due }] of this.members) {
      const next = this.#chronicle.firstAfter(channel, due);
      if (next >= keptFrom && next <= tail) return true;
    }
    return false;
  }

  /** A call takes effect. */
  takeEffect(call: Call): void {
    const isOpened = this.isOpenedEarly;
    const chronicle = this.#chronicle;
    const { tail } = chronicle;
    call.phase = "effective";
    const isResuming = this.reported !== "";
    const place = isResuming ? chronicle.place(this.reported) : undefined;
    const isKnown = place !== undefined && (chronicle.keepsPast || place <= tail);
    // The position belongs to the stream, whichever of its calls takes effect first.
    const isOpen = call.isAwaited || !this.#isPlaced;
    const added = [...call.wanted].filter((channel) => !this.members.has(channel));
    if (isResuming && isOpen && (!isKnown || place < chronicle.trimmed)) this.#giveCause(added);
    if (!call.isAwaited && !this.isAwaiting) this.#isPlaced = true;
    if (added.length === 0) return;
    // If the calls of the first turn were cancelled, the stream is a new one, whatever the client's position.
    const isNew = !this.calls.some((other) => other.isAwaited && other.phase !== "over");
    // Otherwise a client ahead of the process has everything up to its own position.
    const start = isKnown && !isNew ? Math.max(tail, place) : tail;
    let from = start;
    let due = start;
    let owesReset = false;
    if (call.isReplayed) {
      if (isKnown) {
        from = place;
        due = place;
        this.told = Math.max(this.told, place);
      } else {
        owesReset = true;
        // The reset cannot place it before this.
        from = this.#firstTail;
        due = this.#firstTail;
      }
    } else if (call.isEarly && isResuming) {
      // Its start was unknown, so it may take part in the replay.
      from = Math.min(from, place ?? from);
      // If the calls of the first turn were cancelled, the stream is a new one, whatever the client's position.
      if (!this.calls.some((other) => other.isReplayed && other.phase !== "over")) {
        from = Math.min(from, tail);
      }
      if (from < chronicle.keptFrom - 1 || isOpened) this.#giveCause(added);
    } else if (call.isEarly && isOpened) {
      // A call that was allowed later may begin at that point.
      owesReset = call.hasWaited;
      this.#giveCause(added);
    }
    const isVague = call.isEarly && (isResuming || isOpened);
    if (!call.isReplayed) {
      call.owesState = call.snapshot === "none" ? false : isVague ? undefined : true;
      call.comesFirst = !isResuming && this.told === NO_POSITION && call.isFirst;
      call.owesLatest = call.latest === 0 ? false : isVague ? undefined : true;
      call.latestUpTo = start;
    }
    for (const channel of added) {
      call.members.add(channel);
      this.members.set(channel, { call, from, due, owesReset });
    }
  }

  /** Channels were left. */
  leave(channels: readonly string[]): void {
    // Before the client got a position: the lost events on these channels may have influenced the decision.
    if (this.#ids.length === 1 && this.#hasLost(new Set(channels))) {
      this.#giveCause(this.members.keys());
    }
    for (const channel of channels) {
      this.#causes.delete(channel);
      const call = this.members.get(channel)?.call;
      this.members.delete(channel);
      call?.members.delete(channel);
      // The order of several channels had begun. Which events belonged to the left ones is not tracked.
      if (call !== undefined && call.latestSeen.length > 0) call.owesLatest = undefined;
      for (const other of this.calls) {
        if (!other.isPending) continue;
        other.wanted.delete(channel);
        if (other.wanted.size === 0) other.phase = "over";
      }
    }
  }

  /** The log has dropped its oldest entries, possibly before it was asked for the position of the client. */
  trimmed(): void {
    const place = this.reported === "" ? undefined : this.#chronicle.place(this.reported);
    if (place === undefined || place >= this.#chronicle.trimmed || this.#ids.length > 1) return;
    for (const [channel, { call }] of this.members) if (call.isReplayed) this.#giveCause([channel]);
  }

  /**
   * The log is about to be reset, which voids every position.
   *
   * @param isKnown - Whether the position reported by the client is still valid afterwards.
   */
  voidAll(isKnown: boolean): void {
    if (this.members.size === 0) return;
    this.#giveCause(this.members.keys());
    // It may not have been located yet.
    const mayReplay = isKnown && this.#ids.length === 1;
    for (const [channel, member] of this.members) {
      // A call that is joining right now may come after it.
      if (this.unsure.has(channel)) member.due = Math.max(member.due, this.#chronicle.tail);
      else if (mayReplay && member.call.isReplayed) continue;
      else member.owesReset = true;
    }
  }

  /** Takes the state of a call's channels. @returns The number of the state. */
  takeState(call: Call): number {
    const { tail } = this.#chronicle;
    if (this.isClosed) this.#fail(`snapshot ${call.number} is taken for a closed stream`);
    if (call.members.size === 0) this.#fail(`snapshot ${call.number}: its channels were left`);
    if (call.owesState === false) this.#fail(`snapshot ${call.number} is not needed`);
    call.take += 1;
    call.isTaken = true;
    call.takenAt = tail;
    call.parts = 0;
    for (const channel of call.members) {
      const member = this.members.get(channel) as Member;
      member.from = tail;
      member.due = tail;
    }
    if (call.owesLatest === true) call.latestUpTo = tail;
    return call.take;
  }

  /** Bytes are being written. */
  wrote(bytes: Uint8Array): void {
    const more = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    const text = this.#rest + more;
    let from = 0;
    for (;;) {
      const end = text.indexOf("\n\n", from);
      if (end < 0) break;
      this.#written += end + 2 - from;
      this.#block(text, from, end);
      from = end + 2;
    }
    this.#rest = text.slice(from);
  }

  /** The stream is not held up: everything must have been written. */
  expectAll(): void {
    if (this.waitsForFirst) return;
    for (const call of this.calls) {
      if (call.phase !== "effective" || call.members.size === 0) continue;
      if (call.owesState === true) this.#fail(`the state of call ${call.number} is missing`);
      this.#endLatest(call);
    }
    this.#expectUpTo(this.#chronicle.tail, "after all", true);
    if (this.completing !== undefined) this.#fail("complete() has not ended the stream");
  }

  #block(text: string, start: number, end: number): void {
    let type = "message";
    let id: string | undefined;
    let data: string | undefined;
    let hasRetry = false;
    for (let from = start; from < end;) {
      let to = text.indexOf("\n", from);
      if (to < 0 || to > end) to = end;
      if (text.startsWith("event: ", from)) type = text.slice(from + 7, to);
      else if (text.startsWith("id: ", from)) id = text.slice(from + 4, to);
      else if (text.startsWith("data: ", from)) data = text.slice(from + 6, to);
      else if (text.startsWith("retry: ", from)) hasRetry = true;
      from = to + 1;
    }
    if (data === undefined) {
      if (hasRetry) this.#fail("a block with a reconnection time alone");
      return;
    }
    if (type === "sse-retry") return;
    if (type === "sse-complete") return this.#completed();
    if (hasRetry && (this.#hasRetry || isOfChannel(type)))
      this.#fail(`${type} ${data} has a retry`);
    if (!hasRetry && !this.#hasRetry && !isOfChannel(type))
      this.#fail(`${type} ${data} has no retry`);
    this.#hasRetry ||= hasRetry;
    if (type === "sent") return this.#sent(Number(data));
    if (this.isClosed) this.#fail(`${type} ${data} on a stream that is closed`);
    if (this.isAwaiting) this.#fail(`${type} ${data} before all calls of the turn are answered`);
    if (type === "sse-reset") this.#reset(JSON.parse(data) as { channels: string[] }, id ?? "");
    else if (type === "state") this.#state(JSON.parse(data) as StateMessage);
    else if (type === "sse-cursor") this.#cursor(data);
    else this.#event(Number.parseInt(data, 10), id);
    if (id === undefined) return;
    this.#ids.push({ end: this.#written, id });
    if (type === "sse-reset") return;
    const position = this.#chronicle.place(id);
    if (position !== undefined) this.#tell(position);
    // A made-up old id is as good as a real one if the client has missed nothing.
    else if (id !== this.reported) this.#fail(`the id ${id} is none of the history`);
    else if (this.#ids.length > 2) this.#fail(`the id ${id} takes the client back`);
  }

  #cursor(data: string): void {
    const isFirst = !this.#hasCursor;
    this.#hasCursor = true;
    if (isFirst !== "heartbeatMs" in (JSON.parse(data) as object)) this.#fail(`cursor ${data}`);
  }

  #event(position: number, id: string | undefined): void {
    this.#counts.events += 1;
    const channel = this.#chronicle.channelOf(position) ?? "";
    const member = this.members.get(channel);
    if (member === undefined) {
      if (!this.unsure.has(channel)) this.#fail(`event ${position}: ${channel} is not joined`);
      return;
    }
    const { call } = member;
    if (id !== undefined && id !== this.#chronicle.idOf(position)) {
      this.#fail(`event ${position} has the id ${id}`);
    }
    // Belongs to a call that may or may not take part in the replay.
    const isEither = call.owesLatest === undefined && id === undefined;
    if (position <= (isEither ? call.latestUpTo : member.from)) return this.#latest(call, position);
    if (member.owesReset) this.#fail(`event ${position} comes before the reset`);
    const next = this.#chronicle.firstAfter(channel, member.due);
    if (position > member.due && position !== next && !isUntaken(call)) {
      this.#fail(`event ${position}: event ${next} of ${channel} comes first`);
    }
    if (id === undefined && this.told !== NO_POSITION) {
      this.#fail(`event ${position} has no id, so it would come again`);
    }
    this.#endLatest(call);
    member.from = position;
    member.due = position;
  }

  #latest(call: Call, position: number): void {
    const last = call.latestSeen.at(-1) ?? NO_POSITION;
    if (call.owesLatest === false || position > call.latestUpTo || position <= last) {
      return this.#fail(`event ${position} comes before its channel begins, or twice`);
    }
    call.latestDue ??= this.#latestDue(call);
    call.latestSeen.push(position);
    this.#counts.latest += 1;
  }

  #latestDue({ members, latestUpTo, latest }: Call): number[] {
    const { keptFrom } = this.#chronicle;
    return [...members]
      .flatMap((name) => this.#chronicle.lastOf(new Set([name]), keptFrom, latestUpTo, latest))
      .toSorted((a, b) => a - b);
  }

  /** The newest events of a call must be complete, because no later event may precede them. */
  #endLatest(call: Call): void {
    if (call.owesLatest === false) return;
    // While a channel is being left, it is uncertain whether its events are included.
    const isSure = call.owesLatest === true && !this.#isUnsure(call);
    call.owesLatest = false;
    if (!isSure) return;
    const due = call.latestDue ?? this.#latestDue(call);
    const seen = call.latestSeen;
    for (const name of call.members) {
      const isOwn = (position: number): boolean => this.#chronicle.channelOf(position) === name;
      const own = seen.filter(isOwn);
      const all = this.#chronicle.lastOf(new Set([name]), 1, call.latestUpTo, own.length);
      const isLast = own.every((position, index) => position === all[index]);
      const least = due.filter(isOwn).length;
      if (own.length < least || own.length > call.latest || !isLast) {
        this.#fail(`latest of call ${call.number}: ${seen.join()}, expected ${due.join()}`);
      }
    }
  }

  #tell(position: number): void {
    if (position < this.told) this.#fail(`told ${position} after ${this.told}`);
    this.#expectUpTo(position, `told ${position}`);
    for (const call of this.calls) {
      // A client that returns with a position gets a replay of the first call's channels instead of their state.
      if (call.isFirst && call.snapshot !== "none" && call.isPending && this.reported === "") {
        this.#fail(`told ${position} before the first call is answered`);
      }
      if (call.owesState === true && call.comesFirst && this.#isJoined(call)) {
        this.#fail(`told ${position} before the state of call ${call.number}`);
      }
      // A client cut off here would return with a position before that state, and get no other.
      if (call.comesFirst && call.isTaken && position < call.takenAt && this.#isJoined(call)) {
        this.#fail(`told ${position}, but the state of call ${call.number} has ${call.takenAt}`);
      }
    }
    this.told = position;
  }

  #isUnsure({ members }: Call): boolean {
    for (const channel of members) if (this.unsure.has(channel)) return true;
    return false;
  }

  /** Whether a call certainly has channels that were not left. */
  #isJoined({ members }: Call): boolean {
    for (const channel of members) if (!this.unsure.has(channel)) return true;
    return false;
  }

  #expectUpTo(position: number, when: string, isEnd: boolean = false): void {
    for (const [channel, { call, due, owesReset }] of this.members) {
      if (this.unsure.has(channel) || isUntaken(call)) continue;
      // It may have a state to come, or take part in the replay: either way it has everything in the end.
      if (!isEnd && call.owesState === undefined && !call.isTaken) continue;
      if (owesReset) this.#fail(`${when}: ${channel} was not reset`);
      const next = this.#chronicle.firstAfter(channel, due);
      if (next <= position) this.#fail(`${when}: event ${next} of ${channel} is missing`);
    }
  }

  #reset({ channels }: { readonly channels: readonly string[] }, id: string): void {
    const chronicle = this.#chronicle;
    const names = new Set(channels);
    for (const channel of this.members.keys()) {
      if (!names.has(channel) && !this.unsure.has(channel)) this.#fail(`reset without ${channel}`);
    }
    for (const channel of names) {
      if (!this.members.has(channel) && !this.unsure.has(channel))
        this.#fail(`reset of ${channel}`);
    }
    this.#counts.resets += 1;
    if (this.#causes.size === 0 && !this.#hasLost(names)) {
      this.#counts.causeless += 1;
      this.#fail("reset without a cause");
    }
    this.#causes.clear();
    const position = id === "" ? undefined : chronicle.place(id);
    if (id !== "" && position === undefined) this.#fail(`reset to ${id}`);
    for (const [channel, member] of this.members) {
      if (!names.has(channel)) continue;
      member.owesReset = false;
      member.due = Math.max(member.due, position ?? chronicle.tail);
      if (position !== undefined) member.from = Math.max(member.from, position);
    }
    for (const call of this.calls) {
      // It starts over up to where its channels continue, unless all of it, possibly nothing, was sent before.
      if (call.owesLatest !== false) {
        // That place is known only if the reset has an id.
        const isUnsent = call.latestSeen.length === 0 && this.#latestDue(call).length > 0;
        if (!isUnsent || position === undefined) call.owesLatest = undefined;
        call.latestSeen.length = 0;
        call.latestDue = undefined;
        call.latestUpTo = Math.max(call.latestUpTo, position ?? chronicle.tail);
      }
      if (call.snapshot === "none" || ![...call.members].some((name) => names.has(name))) continue;
      // A client cut off in the middle of the states must begin anew.
      if (position !== undefined) this.#fail(`reset to a position before the state`);
      call.owesState = true;
      call.isTaken = false;
      call.comesFirst = true;
    }
    this.told = position ?? NO_POSITION;
  }

  #giveCause(channels: Iterable<string>): void {
    for (const channel of channels) this.#causes.add(channel);
  }

  /** Whether a due entry is not kept any more. */
  #hasLost(names: ReadonlySet<string>): boolean {
    const { keptFrom, tail, base, knowsDropped, keepsPast } = this.#chronicle;
    if (!knowsDropped) return true;
    for (const { latestSeen, latestDue, owesLatest, members } of this.calls) {
      if (owesLatest === false || latestSeen.length === 0) continue;
      const next = latestDue?.find(
        (position) =>
          !latestSeen.includes(position) && members.has(this.#chronicle.channelOf(position) ?? ""),
      );
      if (next !== undefined && next < keptFrom) return true;
    }
    for (const [channel, { call, from, due }] of this.members) {
      if (!names.has(channel)) continue;
      // A process that started later does not know what was dropped after it.
      if (keepsPast && due < base && due < keptFrom - 1) return true;
      // Optional events may have been intended.
      const next = this.#chronicle.firstAfter(channel, from);
      if (next <= tail && next < keptFrom && !isUntaken(call)) return true;
    }
    return false;
  }

  #state({ call: number, take, part, of }: StateMessage): void {
    const call = this.calls.find((one) => one.number === number);
    this.#counts.states += 1;
    if (call === undefined) return this.#fail(`the state of call ${number} is another stream's`);
    if (call.members.size === 0) this.#fail(`the state of call ${number}: its channels were left`);
    if (take !== call.take || part !== call.parts)
      this.#fail(`state ${take} of call ${number} is old`);
    if (call.owesState === false) this.#fail(`the state of call ${number} is not needed`);
    for (const channel of call.members) {
      const member = this.members.get(channel) as Member;
      if (member.from !== call.takenAt) {
        this.#fail(`the state of call ${number} comes after a later event`);
      }
    }
    call.parts += 1;
    if (call.parts === of) call.owesState = false;
  }

  #sent(number: number): void {
    if (number !== ++this.sentSeen) this.#fail(`message ${number} sent out of order`);
    const isLive = this.wasLive && this.calls.every(({ owesState }) => owesState !== true);
    if (isLive) this.#expectUpTo(this.#chronicle.tail, `sent ${number}`);
  }

  #completed(): void {
    const { completing } = this;
    if (completing === undefined) return this.#fail("completed without complete()");
    for (const call of completing.calls) {
      if (call.isPending) this.#fail(`completed before call ${call.number} is answered`);
      if (!this.#isJoined(call)) continue;
      if (call.owesState === true) this.#fail(`completed before the state of call ${call.number}`);
      this.#endLatest(call);
    }
    this.#expectUpTo(completing.tail, "completed");
    this.completing = undefined;
  }
}

/** Whether all events due until then will be part of a state. */
function isUntaken({ owesState, isTaken }: Call): boolean {
  return owesState === true && !isTaken;
}

/** Number of occurrences. */
export interface Counts {
  events: number;
  latest: number;
  states: number;
  resets: number;
  /** Number of resets without a cause. */
  causeless: number;
}

/** Data of a message of a snapshot. */
export interface StateMessage {
  readonly call: number;
  readonly take: number;
  readonly part: number;
  readonly of: number;
}

/** Whether events of a type are shared by all streams, so they cannot carry data for one. */
function isOfChannel(type: string): boolean {
  return type !== "sent" && type !== "state" && !type.startsWith("sse-");
}
