import { encodeMessage } from "../wire/encode.js";
import { isSseError } from "../errors.js";
import { FrameSlab } from "../wire/frame-slab.js";
import type { Log, PastEntry } from "../log/log.js";
import type { PastFrame, Window } from "./window.js";

/** Where a client stands: a position in the window, or why there is none. */
export type Place = number | "trimmed" | "unknown";

/** What a backfill needs of a log that keeps its past. */
export type PastLog = Required<Pick<Log, "read" | "sync">> & Pick<Log, "compare">;

/** Pages that a process begins with. */
const WARM_PAGES = 5;

/** A client whose position is not in the window. */
interface Waiting {
  readonly id: string;
  readonly found: (place: Place) => void;
}

/**
 * Finds positions that are not in the window: it reads what is older from the log and puts it in front of the window,
 * and waits for what has yet to come.
 *
 * A client that comes back to a process that has just started, or after a long time, is served from memory like any
 * other once its position is there. One page is read at a time, whoever waits for it: when thousands come back at
 * once, the log is read as far back as the oldest of them, once.
 *
 * A client may also come from a process that was ahead of this one, by milliseconds as a rule. Its position is looked
 * for again once all was delivered that is in the log.
 */
export class Backfill {
  readonly #log: PastLog;
  readonly #window: Window;
  readonly #report: (error: unknown) => void;
  /** Of its own: among new frames the old ones would keep memory alive. */
  readonly #slab = new FrameSlab();
  /** Those whose position is older than the window. In the order of their ids while `#isSorted`. */
  #waiting: Waiting[] = [];
  #isSorted = true;
  #isReading = false;
  /** The newest id of which it is known that the log has dropped what came after it, and so what came after older ones. */
  #trimmed: string | undefined;
  /** Those whose position is past the tail. */
  #ahead: Waiting[] = [];
  #isSyncing = false;
  /** Number of resets. */
  #resets = 0;

  /** @param report - Receives what fails: the clients that have waited for it get a reset. */
  constructor(log: PastLog, window: Window, report: (error: unknown) => void) {
    this.#log = log;
    this.#window = window;
    this.#report = report;
  }

  /** Reads some pages, as far back as they go. Never rejects. */
  async warm(): Promise<void> {
    let isMore = true;
    for (let page = 0; page < WARM_PAGES && isMore; page++) isMore = await this.#turn(undefined);
  }

  /** Finds the place of an id that is not in the window. Settles when it is told; never if `reset` comes before. */
  locate(id: string): Promise<Place> {
    return new Promise((found) => this.#look({ id, found }));
  }

  /** All positions are void, and with them what is waited for. */
  reset(): void {
    this.#resets += 1;
    this.#waiting = [];
    this.#ahead = [];
    this.#trimmed = undefined;
  }

  #look(waiting: Waiting): void {
    const place = this.#window.locate(waiting.id);
    if (place === "trimmed" && this.#wasTrimmed(waiting.id)) {
      waiting.found(place);
    } else if (place === "trimmed") {
      this.#waiting.push(waiting);
      this.#isSorted = false;
      if (!this.#isReading) void this.#run();
    } else if (place === "unknown" && this.#log.compare(waiting.id, this.#window.tailId) > 0) {
      this.#ahead.push(waiting);
      if (!this.#isSyncing) void this.#sync();
    } else {
      waiting.found(place);
    }
  }

  /** Has those who are ahead wait until the log has no more than the window. One wait serves all who come before it. */
  async #sync(): Promise<void> {
    this.#isSyncing = true;
    while (this.#ahead.length > 0) {
      const resets = this.#resets;
      const ahead = this.#ahead;
      this.#ahead = [];
      await this.#try(() => this.#log.sync());
      if (resets !== this.#resets) continue;
      for (const waiting of ahead) {
        const place = this.#window.locate(waiting.id);
        if (place === "trimmed") this.#look(waiting);
        // What is still past the tail was never given to anybody.
        else waiting.found(place);
      }
    }
    this.#isSyncing = false;
  }

  async #run(): Promise<void> {
    this.#isReading = true;
    for (let id = this.#next(); id !== undefined; id = this.#next()) await this.#turn(id);
    this.#isReading = false;
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

  /**
   * Reads one page, towards an id if there is one, and tells those whose place is known then.
   *
   * @returns Whether there may be a further page.
   */
  async #turn(id: string | undefined): Promise<boolean> {
    const resets = this.#resets;
    const { start } = this.#window;
    const page = (await this.#try(() => this.#log.read(id, start.id))) ?? "unknown";
    // All of it is void. The clients that have waited know already, others came since.
    if (resets !== this.#resets) return false;
    if (typeof page === "string") {
      this.#refuse(id, page);
      return false;
    }
    // The window drops old entries: then it has no room for older ones.
    if (start.id !== this.#window.start.id) {
      this.#giveUp();
      return false;
    }
    const past = page.entries.slice(0, start.isHeld ? -1 : undefined);
    const fits = this.#window.prepend(
      past.flatMap((entry) => this.#store(entry) ?? []),
      page.isLast ? id : undefined,
      performance.now(),
    );
    // Nothing older can be held, or nothing has come: who waits for more would wait for ever.
    const isStuck = !fits || (past.length === 0 && !page.isLast);
    if (isStuck) this.#giveUp();
    else this.#recheck();
    return !isStuck && !page.isLast;
  }

  /** @returns `undefined` if it has failed. */
  async #try<Result>(ask: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await ask();
    } catch (error) {
      // Nobody waits for anything any more.
      if (isSseError(error) && error.code === "ERR_SSE_CLOSED") this.reset();
      else this.#report(error);
      return undefined;
    }
  }

  /** What is older than something that was trimmed is so too. */
  #refuse(id: string | undefined, page: "trimmed" | "unknown"): void {
    if (id === undefined) return;
    // Kept until the history is another one: who comes later with an older one needs no read.
    if (page === "trimmed") this.#trimmed = id;
    const left: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const order = this.#log.compare(waiting.id, id);
      if (order === 0 || (order < 0 && page === "trimmed")) waiting.found(page);
      else left.push(waiting);
    }
    this.#waiting = left;
  }

  #wasTrimmed(id: string): boolean {
    return this.#trimmed !== undefined && this.#log.compare(id, this.#trimmed) <= 0;
  }

  /** There will be no more: who has no place now gets none. */
  #giveUp(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { id, found } of waiting) found(this.#window.locate(id));
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

  #store({ id, channel, event, data, retry, ageMs }: PastEntry): PastFrame | undefined {
    try {
      const frame = this.#slab.write(encodeMessage({ event, id, retry, data }));
      return { id, channel, frame, at: performance.now() - ageMs };
    } catch {
      // What no client could be sent: that was reported when it was new.
      return undefined;
    }
  }
}
