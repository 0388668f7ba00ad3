/** Locates clients whose position is no longer in the window, by reading the log's past. */

import { isSseError } from "../errors.js";
import type { FoundId, Log, LogPage, LogPast, PastEntry } from "../log/log.js";
import { FrameSlab, markString } from "../wire/frame-slab.js";
import { NO_CHANNEL, encodeEntry, encodePlace, isControl } from "./log-entry.js";
import type { ChannelPositions } from "./channel-set.js";
import type { PastFrame, Window } from "./window.js";

/** Where a client stands: a position in the window, or the reason why it has none. */
export type Place = number | "trimmed" | "unknown";

/**
 * Where a client stands as far as memory tells. `"unconfirmed"`: it has a position, provided that the log has assigned
 * its id.
 */
export type NearPlace = Place | "unconfirmed";

/** The parts that a backfill uses of a log that keeps its past. */
export type PastLog = Pick<Log, "compare"> & { readonly past: LogPast };

/** Pages read at process start. */
const WARM_PAGES = 5;
/** Ids per lookup. */
const MOST_IDS = 128;

/** A client whose position is not in the window. */
interface Waiting {
  readonly id: string;
  readonly found: (place: Place) => void;
  /** Channels of the client. If it has missed nothing on them, it has a position. */
  readonly channels: ChannelPositions | undefined;
  readonly isWanted: () => boolean;
}

/** A caller that needs events from before the window, without a position. */
interface Reading {
  readonly isEnough: () => boolean;
  readonly isWanted: () => boolean;
  readonly done: () => void;
}

/**
 * Finds positions that are not in the window: it reads older entries from the log and puts them in front of the
 * window, or waits for entries still to come.
 *
 * A client that reconnects to a process that has just started, or after a long time, is served from memory like any
 * other once its position is loaded. Ids are looked up first, many at once; pages are read only for ids that the log
 * holds and that the window may still reach. One page is read at a time, for all waiting clients: when thousands
 * reconnect at once, the log is read once, back to the oldest of them.
 *
 * A client may also come from a process that was ahead of this one, usually by milliseconds. Its position is looked up
 * again once this process has delivered everything in the log.
 */
export class Backfill {
  readonly #log: PastLog;
  readonly #window: Window;
  readonly #report: (error: unknown) => void;
  readonly #maxEventBytes: number;
  readonly #control: (entry: PastEntry) => void;
  /** A separate slab: mixed with new frames, old ones would keep memory alive. */
  readonly #slab = new FrameSlab();
  /** Clients whose position, if valid, is older than the window. In order of arrival. */
  #unchecked: Waiting[] = [];
  /** Clients whose position the log holds. In the order of their ids while `#isSorted`. */
  #waiting: Waiting[] = [];
  #isSorted = true;
  #isRunning = false;
  /** Pages still to be read at start, without a waiting client. */
  #warmPages = 0;
  /** Callers that need older entries, whatever their position. */
  #readings: Reading[] = [];
  /** Whether the window holds all the past it can: no older entry exists, or none fits. */
  #isWhole = false;
  /** Called when `#warmPages` reaches 0. */
  #warmed: (() => void) | undefined;
  /** The newest id known to have lost entries after it. Every older id has lost them too. */
  #trimmed: string | undefined;
  /** Start of the window when it was full or had dropped entries: no older entry will ever fit. */
  #floor: string | undefined;
  /** Start of the window at the last read. If it differs now, the window has dropped entries since. */
  #start: string;
  /** Clients whose position is past the tail. */
  #ahead: Waiting[] = [];
  #isSyncing = false;
  /** Number of resets. */
  #resets = 0;
  #isClosed = false;

  /**
   * @param report - Receives failures. The clients that waited get a reset.
   * @param maxEventBytes - Larger log entries are not sent.
   * @param control - Receives control entries.
   */
  constructor(
    log: PastLog,
    window: Window,
    report: (error: unknown) => void,
    maxEventBytes: number = Infinity,
    control: (entry: PastEntry) => void = () => {},
  ) {
    this.#log = log;
    this.#window = window;
    this.#start = window.start.id;
    this.#report = report;
    this.#maxEventBytes = maxEventBytes;
    this.#control = control;
  }

  /** Reads a few pages at start, unless waiting clients have already caused that. Never rejects. */
  warm(): Promise<void> {
    this.#warmPages = WARM_PAGES;
    return new Promise((resolve) => {
      this.#warmed = resolve;
      this.#wake();
    });
  }

  /**
   * Reads back until the caller has enough or the window is full. Concurrent calls share one read, and later calls find
   * the pages in memory.
   *
   * @param isEnough - Polled after each page.
   * @param isWanted - Polled between pages: reading stops once it returns `false`.
   * @returns Settles at that point, also if the log cannot be read; `undefined` if nothing has to be read. Never
   *   rejects.
   */
  readBack(isEnough: () => boolean, isWanted: () => boolean): Promise<void> | undefined {
    if (this.#isWhole || isEnough()) return undefined;
    return new Promise((done) => {
      this.#readings.push({ isEnough, isWanted, done });
      this.#wake();
    });
  }

  /**
   * Finds the position of an id in memory.
   *
   * The window also has a position for an id that it has dropped, if nothing was missed since. It tells that from the
   * order of ids, in which an id of a replaced history may have a place too.
   *
   * @param channels - Channels of the client.
   */
  near(id: string, channels: ChannelPositions | undefined): NearPlace {
    const place = this.#window.locate(id, channels);
    return typeof place !== "number" || this.#window.idAt(place) === id ? place : "unconfirmed";
  }

  /**
   * Finds the position of an id that {@link Backfill.near} has no position for.
   *
   * @param channels - Channels of the client. If it has missed nothing on them, it has a position.
   * @param isWanted - Polled during the search, which ends when it returns `false`.
   * @returns Settles when the position is known; never settles once `isWanted` returns `false`. A reset of the log
   *   restarts the search in the new history.
   */
  locate(
    id: string,
    channels?: ChannelPositions,
    isWanted: () => boolean = always,
  ): Promise<Place> {
    return new Promise((found) => this.#look({ id, found, channels, isWanted }));
  }

  /**
   * Looks up ids of events that are still to be read.
   *
   * @param isWanted - Polled meanwhile.
   * @returns For each whether the log holds it; `undefined` if it cannot tell. Never rejects.
   */
  async holds(
    ids: readonly string[],
    isWanted: () => boolean,
  ): Promise<readonly boolean[] | undefined> {
    const found = await this.#try(() => this.#log.past.find(ids, { isWanted }));
    return found?.map((one) => typeof one === "object");
  }

  /** The log has a new history: waiting clients are located there. */
  reset(): void {
    for (const waiting of this.#forgetAll()) this.#look(waiting);
  }

  #close(): void {
    this.#isClosed = true;
    for (const { found } of this.#forgetAll()) found("unknown");
  }

  /** @returns All waiting clients, except those that the log is being asked about. */
  #forgetAll(): Waiting[] {
    this.#resets += 1;
    const waiting = [...this.#unchecked, ...this.#waiting, ...this.#ahead];
    this.#unchecked = [];
    this.#waiting = [];
    this.#ahead = [];
    this.#isWhole = false;
    this.#endReadings(() => true);
    this.#trimmed = undefined;
    this.#floor = undefined;
    this.#start = this.#window.start.id;
    this.#endWarming();
    return waiting;
  }

  #look(waiting: Waiting): void {
    if (this.#isClosed) return waiting.found("unknown");
    const place = this.near(waiting.id, waiting.channels);
    if (this.#needsLookup(waiting.id, place)) {
      this.#unchecked.push(waiting);
      this.#wake();
    } else if (place === "unknown" && this.#log.compare(waiting.id, this.#window.tailId) > 0) {
      this.#ahead.push(waiting);
      if (!this.#isSyncing) void this.#sync();
    } else {
      waiting.found(place);
    }
  }

  #needsLookup(id: string, place: NearPlace): place is "unconfirmed" | "trimmed" {
    return place === "unconfirmed" || (place === "trimmed" && !this.#isLost(id));
  }

  /** Whether a client at this id is known to have missed events that cannot be replayed. */
  #isLost(id: string): boolean {
    const log = this.#log;
    const { start } = this.#window;
    if (start.id !== this.#start) this.#setFloor(start.id);
    if (this.#trimmed !== undefined && log.compare(id, this.#trimmed) <= 0) return true;
    return this.#floor !== undefined && log.compare(id, this.#floor) < 0;
  }

  /**
   * Waits until the window has everything in the log, then locates the clients that are ahead. Concurrent callers share
   * one wait.
   */
  async #sync(): Promise<void> {
    this.#isSyncing = true;
    while (this.#ahead.length > 0) {
      const resets = this.#resets;
      const ahead = this.#ahead;
      this.#ahead = [];
      await this.#try(() =>
        this.#log.past.sync({ isWanted: () => ahead.some(({ isWanted }) => isWanted()) }),
      );
      for (const waiting of ahead) {
        const place = this.near(waiting.id, waiting.channels);
        const isOpen = place === "unconfirmed" || place === "trimmed";
        if (isOpen || resets !== this.#resets) this.#look(waiting);
        // No process has ever issued an id that is still past the tail.
        else waiting.found(place);
      }
    }
    this.#isSyncing = false;
  }

  #wake(): void {
    if (!this.#isRunning) void this.#run();
  }

  /** Alternates between looking up ids and reading a page until no client waits. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    for (;;) {
      if (this.#unchecked.length > 0) await this.#check();
      this.#waiting = this.#waiting.filter(({ isWanted }) => isWanted());
      this.#readings = this.#readings.filter(({ isWanted }) => isWanted());
      this.#endReadings(({ isEnough }) => this.#isWhole || isEnough());
      const id = this.#next();
      const isRead = this.#warmPages > 0 || this.#readings.length > 0;
      if (id !== undefined || isRead) await this.#turn(id);
      else if (this.#unchecked.length === 0) break;
    }
    this.#isRunning = false;
  }

  /** Looks up the ids of the clients that arrived first. */
  async #check(): Promise<void> {
    const resets = this.#resets;
    const unchecked = this.#unchecked;
    const clients = new Map<string, Waiting[]>();
    let taken = 0;
    for (const waiting of unchecked) {
      if (clients.size === MOST_IDS && !clients.has(waiting.id)) break;
      taken += 1;
      if (!waiting.isWanted()) continue;
      const place = this.near(waiting.id, waiting.channels);
      // Other pages may have been read since it arrived.
      if (!this.#needsLookup(waiting.id, place)) {
        waiting.found(place);
        continue;
      }
      const same = clients.get(waiting.id);
      if (same === undefined) clients.set(waiting.id, [waiting]);
      else same.push(waiting);
    }
    this.#unchecked = unchecked.slice(taken);
    if (clients.size === 0) return;
    const isWanted = (): boolean =>
      [...clients.values()].some((all) => all.some((waiting) => waiting.isWanted()));
    const ids = [...clients.keys()];
    const found = await this.#try(() => this.#log.past.find(ids, { isWanted }));
    for (const [index, id] of ids.entries()) {
      if (resets !== this.#resets) for (const waiting of clients.get(id) ?? []) this.#look(waiting);
      else this.#answer(id, found?.[index] ?? "unknown", clients.get(id) ?? []);
    }
  }

  #answer(id: string, found: FoundId, clients: readonly Waiting[]): void {
    const isTooOld = typeof found === "object" && found.missedMs > this.#window.room.maxAgeMs;
    const missing = isTooOld ? "trimmed" : typeof found === "string" ? found : undefined;
    if (missing === "trimmed") this.#forget(id);
    // Otherwise the order of ids says nothing about this one.
    const isOwn =
      typeof found === "object" || (found === "trimmed" && this.#log.past.wasReplaced !== true);
    for (const waiting of clients) {
      const place = isOwn ? this.#window.locate(id, waiting.channels) : undefined;
      if (typeof place === "number") waiting.found(place);
      else if (missing !== undefined) waiting.found(missing);
      else this.#waiting.push(waiting);
    }
    this.#isSorted = false;
  }

  /** Picks the oldest id: on the way there all others are passed. After one was too old, picks the middle. */
  #next(): string | undefined {
    this.#sort();
    return this.#waiting[this.#trimmed === undefined ? 0 : this.#waiting.length >> 1]?.id;
  }

  #sort(): void {
    if (!this.#isSorted) this.#waiting.sort((a, b) => this.#log.compare(a.id, b.id));
    this.#isSorted = true;
  }

  /** Reads one page, towards an id if there is one, and settles the clients whose position is then known. */
  async #turn(id: string | undefined): Promise<void> {
    if (this.#warmPages > 0) this.#warmPages -= 1;
    const readings = new Set(this.#readings);
    const isMore = await this.#read(id);
    // A read towards an id ends there, and older entries may still fit.
    const isOver = id === undefined && !isMore;
    if (this.#warmPages === 0 || isOver) this.#endWarming();
    // If the log cannot be read, these callers continue with what is in memory.
    if (isOver) this.#endReadings((reading) => readings.has(reading));
  }

  /** @returns Whether there may be another page. */
  async #read(id: string | undefined): Promise<boolean> {
    const resets = this.#resets;
    const { start, room } = this.#window;
    // Even if nothing more fits, the id right before the first entry is a position that clients may have.
    const isFull = room.entries <= 0 || room.bytes <= 0;
    if (isFull && !start.isHeld) return this.#giveUp();
    const page = await this.#try(() =>
      this.#log.past.read(id, start.id, {
        hasUpTo: start.isHeld,
        maxEntries: Math.max(0, room.entries) + 1,
        maxBytes: Math.max(0, room.bytes),
        isWanted: () =>
          this.#warmPages > 0 ||
          this.#waiting.some(({ isWanted }) => isWanted()) ||
          this.#readings.some(({ isWanted }) => isWanted()),
      }),
    );
    // The log was reset during the read. The clients that waited have been notified; others arrived since.
    if (resets !== this.#resets) return false;
    if (page === undefined || typeof page === "string") {
      // The log no longer holds the start of the window, from which the read was to begin.
      if (id === undefined && page === "trimmed") this.#isWhole = true;
      this.#refuse(id, page ?? "unknown");
      return false;
    }
    // The window is dropping old entries, so it has no room for older ones.
    const now = this.#window.start;
    if (start.id !== now.id || start.isHeld !== now.isHeld) return this.#giveUp();
    return this.#prepend(page, id);
  }

  #prepend({ entries, isLast }: LogPage, id: string | undefined): boolean {
    const past = entries.map((entry) => this.#store(entry));
    const fits = this.#window.prepend(past, isLast ? id : undefined, performance.now());
    this.#start = this.#window.start.id;
    // Nothing older fits, or the read returned nothing: without this, clients would wait forever.
    if (!fits || (past.length === 0 && !isLast)) return this.#giveUp();
    if (isLast && id === undefined) this.#isWhole = true;
    this.#recheck();
    return !isLast;
  }

  /** @returns `undefined` if it failed or was given up. */
  async #try<Result>(ask: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await ask();
    } catch (error) {
      // The log was closed, and every session with it.
      if (isSseError(error) && error.code === "ERR_SSE_CLOSED") this.#close();
      else this.#report(error);
      return undefined;
    }
  }

  #endReadings(isOver: (reading: Reading) => boolean): void {
    const over: Reading[] = [];
    const left: Reading[] = [];
    for (const reading of this.#readings) (isOver(reading) ? over : left).push(reading);
    this.#readings = left;
    for (const { done } of over) done();
  }

  #endWarming(): void {
    this.#warmPages = 0;
    this.#warmed?.();
    this.#warmed = undefined;
  }

  /** Records, until the next reset, that clients at this id or an older one have missed lost entries. */
  #forget(id: string): void {
    if (this.#trimmed === undefined || this.#log.compare(id, this.#trimmed) > 0) this.#trimmed = id;
  }

  /** Entries older than a trimmed one are trimmed too. */
  #refuse(id: string | undefined, page: "trimmed" | "unknown"): void {
    if (id === undefined) return;
    if (page === "trimmed") this.#forget(id);
    const left: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const order = this.#log.compare(waiting.id, id);
      if (order === 0 || (order < 0 && page === "trimmed")) waiting.found(page);
      else left.push(waiting);
    }
    this.#waiting = left;
  }

  /** The window accepts no more: clients without a position get none. @returns `false`: there is no further page. */
  #giveUp(): false {
    this.#isWhole = true;
    this.#setFloor(this.#window.start.id);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { id, channels, found } of waiting) found(this.#window.locate(id, channels));
    return false;
  }

  #setFloor(id: string): void {
    this.#start = id;
    this.#floor = id;
  }

  /** Settles the clients whose position is now in the window. */
  #recheck(): void {
    const { start } = this.#window;
    this.#sort();
    for (let last = this.#waiting.at(-1); last !== undefined; last = this.#waiting.at(-1)) {
      if (this.#log.compare(last.id, start.id) < 0) return;
      this.#waiting.pop();
      const place = this.#window.locate(last.id);
      // Directly after the start of the log nothing is missing.
      last.found(place === "trimmed" ? "unknown" : place);
    }
  }

  #store(entry: PastEntry): PastFrame {
    const { id, ageMs } = entry;
    let channel = NO_CHANNEL;
    let block = encodePlace(entry);
    try {
      if (isControl(entry)) {
        this.#control(entry);
      } else {
        block = encodeEntry(entry, this.#maxEventBytes);
        ({ channel } = entry);
      }
    } catch {
      // Cannot be sent to clients, which was reported when it was new. It is still a valid position.
    }
    const frame = this.#slab.write(block, channel);
    if (entry.isString === true) markString(frame);
    return { id, at: performance.now() - ageMs, frame };
  }
}

function always(): boolean {
  return true;
}
