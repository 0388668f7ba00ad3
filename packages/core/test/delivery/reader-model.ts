/**
 * The model of a reader in server code, beside that of a stream: what `next` may return at present. The core's property
 * test checks each item against it.
 */

import type { EventReading, ReadItem } from "../../src/index.js";
import type { ChannelMap } from "../../src/options/channels.js";
import type { Chronicle } from "./stream-model.js";

/** Number of occurrences. */
export interface ReadCounts {
  readEvents: number;
  readLatest: number;
  readResets: number;
  /** Readers that began after a position and were returned events. */
  readAfter: number;
  /** Readers that were created before the log had a position. */
  readEarly: number;
  /** Readers that ended with their hub. */
  readToTheEnd: number;
}

/** Where a reader begins. */
export interface ModelStart {
  readonly channels: readonly string[];
  readonly after: string | undefined;
  readonly latest: number;
}

type Item = ReadItem<ChannelMap, string>;

/** A real reader, and the check of each of its items. */
export class ModelReader {
  readonly channels: ReadonlySet<string>;
  /** `true`: the next item is asked for as soon as one is there. */
  isLoop = false;
  /** The caller has ended it. */
  hasReturned = false;
  /** Calls of `next` under way. */
  calls = 0;
  isDone = false;
  readonly #reading: EventReading<Item>;
  readonly #abort: AbortController | undefined;
  readonly #start: ModelStart;
  readonly #chronicle: Chronicle;
  readonly #counts: ReadCounts;
  readonly #fail: (text: string) => void;
  readonly #maxLatest: number;
  /** All later events have to be returned; `undefined` until the place is fixed. */
  #due: number | undefined;
  /** Whether `next` was called. */
  #isAsked = false;
  #hasItems = false;
  /** A reset has to be returned. Events up to `#voided` may come before it. */
  #owesReset = false;
  #voided = Infinity;
  /** Reason that the reset must have; `undefined` if several are possible. */
  #reason: string | undefined;
  /** Whether there is a cause for a reset, other than lost events. */
  #mayReset = false;
  /** Past events come up to here. */
  #latestUpTo = -1;
  #latestDue: readonly number[] | undefined;
  /** Past events that were kept when `next` was first called: the first of them may be taken in that call. */
  #latestAsked: readonly number[] = [];
  readonly #latestSeen: number[] = [];
  #isLatestOver: boolean;
  /** Set once the hub is closed: the newest event that is still to be returned. */
  #end: number | undefined;

  /** @param abort - Ends it; absent: `return` does. */
  constructor(
    reading: EventReading<Item>,
    abort: AbortController | undefined,
    start: ModelStart,
    chronicle: Chronicle,
    counts: ReadCounts,
    fail: (text: string) => void,
  ) {
    this.channels = new Set(start.channels);
    this.#reading = reading;
    this.#abort = abort;
    // A client without a position reports an empty text.
    this.#start = { ...start, after: start.after === "" ? undefined : start.after };
    this.#chronicle = chronicle;
    this.#counts = counts;
    this.#maxLatest = this.#start.after === undefined ? start.latest : 0;
    this.#isLatestOver = this.#maxLatest === 0;
    this.#fail = (text) => fail(`${this.describe()}: ${text}`);
    if (chronicle.isStarted) this.started();
    else counts.readEarly += 1;
  }

  describe(): string {
    const { after, latest } = this.#start;
    const state = `due ${this.#due}, owes a reset ${this.#owesReset}, calls ${this.calls}`;
    return `reader of ${[...this.channels].join()} after ${after}, latest ${latest} (${state})`;
  }

  /** Id that it was to begin after. */
  get after(): string | undefined {
    return this.#start.after;
  }

  /** Position to continue from. */
  get position(): string | undefined {
    return this.#reading.position;
  }

  /** The log has a position. */
  started(): void {
    if (this.#end !== undefined) return;
    if (this.#start.after === undefined) {
      this.#due = this.#chronicle.tail;
      this.#latestUpTo = this.#due;
    }
    if (this.#isAsked) this.#place();
  }

  /** The log has dropped its oldest entries, possibly before it was asked for the id. */
  trimmed(): void {
    const { after } = this.#start;
    if (after === undefined || !this.#isAsked || this.#hasItems) return;
    const place = this.#chronicle.place(after);
    if (place !== undefined && place < this.#chronicle.trimmed) this.#mayReset = true;
  }

  /** Calls `next`. */
  next(): void {
    if (this.calls === 0) this.#expectPosition(this.#reading.position);
    this.calls += 1;
    if (!this.#isAsked) {
      this.#isAsked = true;
      if (this.#chronicle.isStarted) this.#place();
      if (this.#maxLatest > 0 && this.#due !== undefined) this.#latestAsked = this.#findLatest();
    }
    void this.#reading.next().then(
      ({ done, value }) => {
        this.calls -= 1;
        if (done === true) this.#done();
        else this.#item(value);
        if (this.isLoop && !this.isDone) this.next();
      },
      (error: unknown) => this.#fail(`next: ${String(error)}`),
    );
  }

  /** The caller has enough. */
  return(): void {
    this.hasReturned = true;
    if (this.#abort === undefined) void this.#reading.return?.();
    else this.#abort.abort();
    if (this.calls === 0) this.#expectPosition(this.#reading.position);
  }

  /** The hub is being closed. */
  ends(): void {
    this.#end = this.#chronicle.isStarted ? this.#chronicle.tail : -1;
  }

  /**
   * The log is about to be reset, which voids every position.
   *
   * @param reason - Why.
   * @param isKnown - Whether the position that it was to begin after is still valid afterwards.
   */
  voidAll(reason: string, isKnown: boolean): void {
    const { after } = this.#start;
    if (this.#due === undefined || this.#end !== undefined) return;
    const isLocated = after === undefined || this.#hasItems;
    // One that is not known to delivery yet finds out later, by what it has lost.
    const isCertain = this.#isAsked && isLocated && this.calls === 0 && !this.#hasLost();
    this.#reason = isCertain ? reason : undefined;
    if (this.#voided === Infinity || !this.#owesReset) this.#voided = this.#chronicle.tail;
    // It may not have been located yet.
    if (after !== undefined && isKnown && !this.#hasItems) this.#voided = Infinity;
    else this.#owesReset = true;
    // A reset for another cause may be on its way to the caller.
    if (this.calls > 0 || this.#voided === Infinity) this.#mayReset = true;
  }

  /** It is not held up: every call under way waits for events that do not exist yet. */
  expectAll(): void {
    if (this.calls === 0 || this.isDone || this.hasReturned) return;
    if (this.#end !== undefined) return this.#fail("does not end with its hub");
    if (this.#due === undefined) return this.#fail("has no place");
    if (this.#owesReset) this.#fail("was not reset");
    this.#endLatest();
    const next = this.#nextAfter(this.#due);
    if (next <= this.#chronicle.tail) this.#fail(`event ${next} is missing`);
  }

  /** Everything has ended. */
  expectEnd(): void {
    if (this.calls > 0 || !(this.isDone || this.hasReturned)) this.#fail("has not ended");
  }

  /** Begins after the id of the options. */
  #place(): void {
    const { after } = this.#start;
    if (after === undefined) return;
    const place = this.#chronicle.place(after);
    this.#due = place ?? this.#chronicle.tail;
    if (place === undefined) this.#owesReset = true;
    else if (place < this.#chronicle.trimmed) this.#mayReset = true;
  }

  #item(item: Item): void {
    if (this.isDone) return this.#fail("an item after the end");
    if (item.type === "reset") this.#reset(item);
    else this.#event(item);
    this.#hasItems = true;
  }

  #event({ id, channel, event, data }: Extract<Item, { type: "event" }>): void {
    const position = Number.parseInt(String(data), 10);
    const chronicle = this.#chronicle;
    if (chronicle.channelOf(position) !== channel) this.#fail(`event ${position} is on ${channel}`);
    if (!this.channels.has(channel)) this.#fail(`event ${position} of ${channel} is not read`);
    if (event !== (position % 2 === 0 ? "delta" : "message")) this.#fail(`${position}: ${event}`);
    if (this.#due === undefined) return this.#fail(`event ${position} without a place`);
    if (position > this.#voided && this.#owesReset) {
      this.#fail(`event ${position} comes before the reset`);
    }
    if (position > chronicle.base && id !== chronicle.idOf(position)) {
      this.#fail(`event ${position} has the id ${id}`);
    }
    if (position <= this.#due) return this.#latest(position);
    this.#endLatest();
    const next = this.#nextAfter(this.#due);
    // Events that the process has not received belong to no history once it was replaced.
    if (position !== next && !this.#owesReset) {
      this.#fail(`event ${position}: event ${next} comes first`);
    }
    this.#due = position;
    this.#counts.readEvents += 1;
    if (this.#start.after !== undefined && !this.#hasItems) this.#counts.readAfter += 1;
  }

  #latest(position: number): void {
    const last = this.#latestSeen.at(-1) ?? -1;
    if (this.#isLatestOver || position > this.#latestUpTo || position <= last) {
      return this.#fail(`event ${position} comes twice, or before the beginning`);
    }
    this.#latestDue ??= this.#findLatest();
    this.#latestSeen.push(position);
    this.#counts.readLatest += 1;
  }

  #findLatest(): number[] {
    const { keptFrom } = this.#chronicle;
    return [...this.channels]
      .flatMap((name) =>
        this.#chronicle.lastOf(new Set([name]), keptFrom, this.#latestUpTo, this.#maxLatest),
      )
      .toSorted((a, b) => a - b);
  }

  /** Past events must be complete, because no later event may precede them. */
  #endLatest(): void {
    if (this.#isLatestOver) return;
    this.#isLatestOver = true;
    if (this.#voided !== Infinity) return;
    const due = this.#latestDue ?? this.#findLatest();
    for (const name of this.channels) {
      const isOwn = (position: number): boolean => this.#chronicle.channelOf(position) === name;
      const own = this.#latestSeen.filter(isOwn);
      const all = this.#chronicle.lastOf(new Set([name]), 1, this.#latestUpTo, own.length);
      const isLast = own.every((position, index) => position === all[index]);
      if (own.length < due.filter(isOwn).length || own.length > this.#maxLatest || !isLast) {
        this.#fail(`latest: ${this.#latestSeen.join()}, expected ${due.join()}`);
      }
    }
  }

  #reset({ reason, channels, id }: Extract<Item, { type: "reset" }>): void {
    this.#counts.readResets += 1;
    const isAll = channels.length === this.channels.size;
    if (!isAll || !channels.every((name) => this.channels.has(name))) {
      this.#fail(`reset of ${channels.join()}`);
    }
    const place = this.#chronicle.place(id);
    if (place === undefined) {
      // Of the previous history: it was on its way when the history was replaced.
      if (!this.#owesReset) this.#fail(`reset to ${id}`);
      return;
    }
    if (!this.#owesReset && !this.#mayReset && !this.#hasLost())
      this.#fail("reset without a cause");
    if (place < (this.#due ?? 0) && this.#voided === Infinity && !this.#owesReset)
      this.#fail(`reset to ${place}`);
    if (this.#owesReset && !this.#mayReset && reason !== (this.#reason ?? reason)) {
      this.#fail(`reset for ${reason}, not ${this.#reason}`);
    }
    this.#reason = undefined;
    this.#mayReset &&= this.#owesReset;
    this.#owesReset = false;
    this.#voided = Infinity;
    this.#isLatestOver = true;
    this.#due = place;
  }

  #done(): void {
    if (this.isDone) return;
    this.isDone = true;
    if (this.calls === 0) this.#expectPosition(this.#reading.position);
    if (this.hasReturned) return;
    if (this.#end === undefined) return this.#fail("has ended by itself");
    this.#counts.readToTheEnd += 1;
    // It had not found its place, or had to read the log for it.
    if (!this.#hasItems && (this.#start.after !== undefined || this.#maxLatest > 0)) return;
    if (this.#due === undefined) return;
    if (this.#owesReset) this.#fail("has ended without its reset");
    const next = this.#nextAfter(this.#due);
    if (next <= this.#end) this.#fail(`has ended without event ${next}`);
  }

  #nextAfter(position: number): number {
    let next = Infinity;
    for (const channel of this.channels) {
      next = Math.min(next, this.#chronicle.firstAfter(channel, position));
    }
    return next;
  }

  /** Whether a due event is not kept any more, or may not be. */
  #hasLost(): boolean {
    const { keptFrom, tail, base, knowsDropped, keepsPast } = this.#chronicle;
    if (!knowsDropped || this.#due === undefined) return true;
    if (!this.#isLatestOver && this.#latestSeen.length > 0) {
      const last = this.#latestSeen.at(-1) ?? 0;
      const due = [...(this.#latestDue ?? []), ...this.#latestAsked];
      if (due.some((position) => position > last && position < keptFrom)) return true;
    }
    // A process that started later does not know what was dropped after it.
    if (keepsPast && this.#due < base && this.#due < keptFrom - 1) return true;
    const next = this.#nextAfter(this.#due);
    return next <= tail && next < keptFrom;
  }

  /** A reader that continues from this position misses no event, and gets none twice. */
  #expectPosition(id: string | undefined): void {
    const { after } = this.#start;
    if (id === after && !this.#hasItems && after !== undefined) return;
    if (id === undefined) {
      const isVague = this.#due === undefined || !this.#isLatestOver;
      if (this.#hasItems || after !== undefined || !isVague) this.#fail("has no position");
      return;
    }
    const place = this.#chronicle.place(id);
    // It is void, and a reset comes next.
    if (this.#owesReset) return;
    if (place === undefined || this.#due === undefined) return this.#fail(`has the position ${id}`);
    const unseen = this.#isLatestOver
      ? Infinity
      : Math.min(
          ...(this.#latestDue ?? this.#findLatest()).filter(
            (position) => position > (this.#latestSeen.at(-1) ?? -1),
          ),
        );
    if (place >= unseen) this.#fail(`has the position ${place} before its latest event ${unseen}`);
    if (unseen !== Infinity || (place < this.#due && this.#isLatestOver)) {
      const reached = this.#latestSeen.at(-1) ?? this.#due;
      if (place < reached) this.#fail(`has the position ${place}`);
      return;
    }
    const next = this.#nextAfter(this.#due);
    if (place >= next) this.#fail(`has the position ${place} before event ${next}`);
  }
}
