/** Finds where clients stand that know a position which is not in the window, by reading the log's past. */

import { isSseError } from "../errors.js";
import type { FoundId, Log, LogPage, LogPast, PastEntry } from "../log/log.js";
import { FrameSlab } from "../wire/frame-slab.js";
import { NO_CHANNEL, encodeEntry, encodePlace, isControl } from "./log-entry.js";
import type { ChannelPositions } from "./channel-set.js";
import type { PastFrame, Window } from "./window.js";

/** Where a client stands: a position in the window, or why there is none. */
export type Place = number | "trimmed" | "unknown";

/** What a backfill needs of a log that keeps its past. */
export type PastLog = Pick<Log, "compare"> & { readonly past: LogPast };

/** Pages that a process begins with. */
const WARM_PAGES = 5;
/** Ids that are looked up at once. */
const MOST_IDS = 128;

/** A client whose position is not in the window. */
interface Waiting {
  readonly id: string;
  readonly found: (place: Place) => void;
  /** Channels of the client: one that has missed nothing on them has a place. */
  readonly channels: ChannelPositions | undefined;
  readonly isWanted: () => boolean;
}

/** Somebody who needs events from before the window, without a position. */
interface Reading {
  readonly isEnough: () => boolean;
  readonly isWanted: () => boolean;
  readonly done: () => void;
}

/**
 * Finds positions that are not in the window: it reads what is older from the log and puts it in front of the window,
 * and waits for what has yet to come.
 *
 * A client that comes back to a process that has just started, or after a long time, is served from memory like any
 * other once its position is there. Ids are looked up first, many at once: only for those that the log holds, and that
 * the window may still reach, pages are read. One page is read at a time, for all clients that wait: when thousands
 * come back at once, the log is read as far back as the oldest of them, once.
 *
 * A client may also come from a process that was ahead of this one, by milliseconds as a rule. Its position is looked
 * for again once everything that is in the log was delivered.
 */
export class Backfill {
  readonly #log: PastLog;
  readonly #window: Window;
  readonly #report: (error: unknown) => void;
  readonly #maxEventBytes: number;
  /** Of its own: among new frames the old ones would keep memory alive. */
  readonly #slab = new FrameSlab();
  /** Those whose position is older than the window, if it is one. In the order in which they came. */
  #unchecked: Waiting[] = [];
  /** Those of which the log holds the position. In the order of their ids while `#isSorted`. */
  #waiting: Waiting[] = [];
  #isSorted = true;
  #isRunning = false;
  /** Pages that are still to be read without a client that waits. */
  #warmPages = 0;
  /** Those who need what is older, for whatever position. */
  #readings: Reading[] = [];
  /** Whether the window has all of the past that it can hold: nothing older is there, or fits. */
  #isWhole = false;
  /** Called when `#warmPages` is 0 again. */
  #warmed: (() => void) | undefined;
  /** The newest id of which it is known that what came after it is lost to clients; the same holds for older ones. */
  #trimmed: string | undefined;
  /** Where the window began when it was full, or had dropped entries: nothing older will ever fit into it. */
  #floor: string | undefined;
  /** Where the window began when it was last read for. If it begins elsewhere, it has dropped entries since. */
  #start: string;
  /** Those whose position is past the tail. */
  #ahead: Waiting[] = [];
  #isSyncing = false;
  /** Number of resets. */
  #resets = 0;
  #isClosed = false;

  /**
   * @param report - Receives what fails: the clients that have waited for it get a reset.
   * @param maxEventBytes - Larger entries of the log are not sent.
   */
  constructor(
    log: PastLog,
    window: Window,
    report: (error: unknown) => void,
    maxEventBytes: number = Infinity,
  ) {
    this.#log = log;
    this.#window = window;
    this.#start = window.start.id;
    this.#report = report;
    this.#maxEventBytes = maxEventBytes;
  }

  /** Reads some pages, as far back as they go, unless clients that wait have had them read. Never rejects. */
  warm(): Promise<void> {
    this.#warmPages = WARM_PAGES;
    return new Promise((resolve) => {
      this.#warmed = resolve;
      this.#wake();
    });
  }

  /**
   * Reads back until somebody has enough, or the window has all that it can hold. One reading serves all who need one, and
   * those who come later find in memory what was read before.
   *
   * @param isEnough - Asked after each page.
   * @param isWanted - Checked between pages: reading stops once it returns `false`.
   * @returns Settles then, also where the log cannot be read; `undefined` if it is so now. Never rejects.
   */
  readBack(isEnough: () => boolean, isWanted: () => boolean): Promise<void> | undefined {
    if (this.#isWhole || isEnough()) return undefined;
    return new Promise((done) => {
      this.#readings.push({ isEnough, isWanted, done });
      this.#wake();
    });
  }

  /**
   * Finds the place of an id that is not in the window.
   *
   * @param channels - Channels of the client: one that has missed nothing on them has a place.
   * @param isWanted - Asked now and then: the search ends when it returns `false`.
   * @returns Settles when the place is known; never if it is not wanted any more. A reset of the log starts the search
   *   again, in the new history.
   */
  locate(
    id: string,
    channels?: ChannelPositions,
    isWanted: () => boolean = always,
  ): Promise<Place> {
    return new Promise((found) => this.#look({ id, found, channels, isWanted }));
  }

  /** The log has another history: the positions that clients wait for are looked for there. */
  reset(): void {
    for (const waiting of this.#forgetAll()) this.#look(waiting);
  }

  #close(): void {
    this.#isClosed = true;
    for (const { found } of this.#forgetAll()) found("unknown");
  }

  /** @returns Those who wait for their position, except where the log is being asked for it. */
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
    const place = this.#window.locate(waiting.id, waiting.channels);
    if (place === "trimmed" && !this.#isLost(waiting.id)) {
      this.#unchecked.push(waiting);
      this.#wake();
    } else if (place === "unknown" && this.#log.compare(waiting.id, this.#window.tailId) > 0) {
      this.#ahead.push(waiting);
      if (!this.#isSyncing) void this.#sync();
    } else {
      waiting.found(place);
    }
  }

  /** Whether it is known, without asking the log, that a client there has missed what cannot be replayed. */
  #isLost(id: string): boolean {
    const log = this.#log;
    const { start } = this.#window;
    if (start.id !== this.#start) this.#setFloor(start.id);
    if (this.#trimmed !== undefined && log.compare(id, this.#trimmed) <= 0) return true;
    return this.#floor !== undefined && log.compare(id, this.#floor) < 0;
  }

  /** Has those who are ahead wait until the log has no more than the window. One wait serves all who come before it. */
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
        const place = this.#window.locate(waiting.id, waiting.channels);
        if (place === "trimmed" || resets !== this.#resets) this.#look(waiting);
        // What is still past the tail was never given to anybody.
        else waiting.found(place);
      }
    }
    this.#isSyncing = false;
  }

  #wake(): void {
    if (!this.#isRunning) void this.#run();
  }

  /** Looks some ids up and reads one page, in turn, until no client waits. */
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

  /** Looks up the ids of those who came first. */
  async #check(): Promise<void> {
    const resets = this.#resets;
    const unchecked = this.#unchecked;
    const clients = new Map<string, Waiting[]>();
    let taken = 0;
    for (const waiting of unchecked) {
      if (clients.size === MOST_IDS && !clients.has(waiting.id)) break;
      taken += 1;
      if (!waiting.isWanted()) continue;
      const place = this.#window.locate(waiting.id, waiting.channels);
      // Much may have been read since it came.
      if (place !== "trimmed" || this.#isLost(waiting.id)) {
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
    for (const waiting of clients) {
      if (missing !== undefined) waiting.found(missing);
      else this.#waiting.push(waiting);
    }
    this.#isSorted = false;
  }

  /** As far back as the oldest: on the way there all the others are passed. But once one was too old, halfway. */
  #next(): string | undefined {
    this.#sort();
    return this.#waiting[this.#trimmed === undefined ? 0 : this.#waiting.length >> 1]?.id;
  }

  #sort(): void {
    if (!this.#isSorted) this.#waiting.sort((a, b) => this.#log.compare(a.id, b.id));
    this.#isSorted = true;
  }

  /** Reads one page, towards an id if there is one, and tells those whose place is known then. */
  async #turn(id: string | undefined): Promise<void> {
    if (this.#warmPages > 0) this.#warmPages -= 1;
    const readings = new Set(this.#readings);
    const isMore = await this.#read(id);
    // A read towards an id ends there; what is older may still have room.
    const isOver = id === undefined && !isMore;
    if (this.#warmPages === 0 || isOver) this.#endWarming();
    // Where the log cannot be read, they have to do with what is there.
    if (isOver) this.#endReadings((reading) => readings.has(reading));
  }

  /** @returns Whether there may be a further page. */
  async #read(id: string | undefined): Promise<boolean> {
    const resets = this.#resets;
    const { start, room } = this.#window;
    // Even where nothing more fits, the id right before the first entry is a position that clients may have.
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
    // All of it is void. The clients that have waited know already, others came since.
    if (resets !== this.#resets) return false;
    if (page === undefined || typeof page === "string") {
      // Not even the place is there any more from which was to be read.
      if (id === undefined && page === "trimmed") this.#isWhole = true;
      this.#refuse(id, page ?? "unknown");
      return false;
    }
    // The window drops old entries: then it has no room for older ones.
    const now = this.#window.start;
    if (start.id !== now.id || start.isHeld !== now.isHeld) return this.#giveUp();
    return this.#prepend(page, id);
  }

  #prepend({ entries, isLast }: LogPage, id: string | undefined): boolean {
    const past = entries.map((entry) => this.#store(entry));
    const fits = this.#window.prepend(past, isLast ? id : undefined, performance.now());
    this.#start = this.#window.start.id;
    // Nothing older can be held, or nothing has come: a client would wait for ever.
    if (!fits || (past.length === 0 && !isLast)) return this.#giveUp();
    if (isLast && id === undefined) this.#isWhole = true;
    this.#recheck();
    return !isLast;
  }

  /** @returns `undefined` if it has failed, or was given up. */
  async #try<Result>(ask: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await ask();
    } catch (error) {
      // The log was closed: no client waits for anything any more.
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

  /** Keeps until the next reset that a client at an id, or at an older one, has missed what is lost. */
  #forget(id: string): void {
    if (this.#trimmed === undefined || this.#log.compare(id, this.#trimmed) > 0) this.#trimmed = id;
  }

  /** What is older than something that was trimmed is so too. */
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

  /** The window takes no more: a client that has no place now gets none. @returns That there is no further page. */
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

  /** Tells those whose place is in the window now. */
  #recheck(): void {
    const { start } = this.#window;
    this.#sort();
    for (let last = this.#waiting.at(-1); last !== undefined; last = this.#waiting.at(-1)) {
      if (this.#log.compare(last.id, start.id) < 0) return;
      this.#waiting.pop();
      const place = this.#window.locate(last.id);
      // Right behind the beginning there is nothing that is not here.
      last.found(place === "trimmed" ? "unknown" : place);
    }
  }

  #store(entry: PastEntry): PastFrame {
    const { id, ageMs } = entry;
    let channel = NO_CHANNEL;
    let block = encodePlace(entry);
    try {
      if (!isControl(entry)) {
        block = encodeEntry(entry, this.#maxEventBytes);
        ({ channel } = entry);
      }
    } catch {
      // No client may be sent it, which was reported when it was new. It is a position all the same.
    }
    return { id, at: performance.now() - ageMs, frame: this.#slab.write(block, channel) };
  }
}

function always(): boolean {
  return true;
}
