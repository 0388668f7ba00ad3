import { encodeMessage } from "./encode.js";
import { FrameSlab } from "./frame-slab.js";
import type { Log, LogPage, PastEntry } from "./log.js";
import type { PastFrame, Window } from "./window.js";

/** Where a client stands: a position in the window, or why there is none. */
export type Place = number | "trimmed" | "unknown";

/** What a backfill needs of a log that keeps its past. */
export type PastLog = Required<Pick<Log, "read">> & Pick<Log, "compare">;

/** A client whose position is older than the window. */
interface Waiting {
  readonly id: string;
  readonly found: (place: Place) => void;
}

/**
 * Reads what is older than the window from the log, and puts it in front of the window.
 *
 * A client that comes back to a process that has just started, or after a long time, is served from memory like any
 * other once its position is there. One page is read at a time, whoever waits for it: when thousands come back at
 * once, the log is read as far back as the oldest of them, once.
 */
export class Backfill {
  readonly #log: PastLog;
  readonly #window: Window;
  readonly #report: (error: unknown) => void;
  /** Of its own: among new frames the old ones would keep memory alive. */
  readonly #slab = new FrameSlab();
  #waiting: Waiting[] = [];
  #isReading = false;
  /** Number of resets. */
  #resets = 0;

  /** @param report - Receives what fails: the clients that have waited for it get a reset. */
  constructor(log: PastLog, window: Window, report: (error: unknown) => void) {
    this.#log = log;
    this.#window = window;
    this.#report = report;
  }

  /** Reads one page, as far back as it goes. Never rejects. */
  async warm(): Promise<void> {
    await this.#turn(undefined);
  }

  /** Finds the place of an id that is older than the window. Settles when it is told; never if `reset` comes before. */
  locate(id: string): Promise<Place> {
    return new Promise((found) => {
      this.#waiting.push({ id, found });
      if (!this.#isReading) void this.#run();
    });
  }

  /** All positions are void, and with them what is waited for. */
  reset(): void {
    this.#resets += 1;
    this.#waiting = [];
  }

  async #run(): Promise<void> {
    this.#isReading = true;
    // As far back as the oldest: on the way there all the others are passed.
    for (let oldest = this.#oldest(); oldest !== undefined; oldest = this.#oldest()) {
      await this.#turn(oldest);
    }
    this.#isReading = false;
  }

  #oldest(): string | undefined {
    let oldest: string | undefined;
    for (const { id } of this.#waiting) {
      if (oldest === undefined || this.#log.compare(id, oldest) < 0) oldest = id;
    }
    return oldest;
  }

  /** Reads one page, towards an id if there is one, and tells those whose place is known then. */
  async #turn(id: string | undefined): Promise<void> {
    const resets = this.#resets;
    const { start } = this.#window;
    let page: LogPage | "trimmed" | "unknown";
    try {
      page = await this.#log.read(id, start.id);
    } catch (error) {
      this.#report(error);
      page = "unknown";
    }
    // All of it is void. The clients that have waited know already, others came since.
    if (resets !== this.#resets) return;
    // The window drops old entries: then it has no room for older ones.
    if (start.id !== this.#window.start.id) return this.#giveUp();
    if (typeof page === "string")
      return this.#tell((waiting) => (waiting.id === id ? page : undefined));
    const past = page.entries.slice(0, start.isHeld ? -1 : undefined);
    const fits = this.#window.prepend(
      past.flatMap((entry) => this.#store(entry) ?? []),
      page.isLast ? id : undefined,
      performance.now(),
    );
    // Nothing older can be held, or nothing has come: who waits for more would wait for ever.
    if (!fits || (past.length === 0 && !page.isLast)) this.#giveUp();
    else this.#recheck();
  }

  /** There will be no more: who has no place now gets none. */
  #giveUp(): void {
    this.#tell(({ id }) => this.#window.locate(id));
  }

  /** Tells those whose place is in the window now. */
  #recheck(): void {
    this.#tell(({ id }) => {
      const place = this.#window.locate(id);
      return place === "trimmed" ? undefined : place;
    });
  }

  #tell(placeOf: (waiting: Waiting) => Place | undefined): void {
    const left: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const place = placeOf(waiting);
      if (place === undefined) left.push(waiting);
      else waiting.found(place);
    }
    this.#waiting = left;
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
