// The promise as checks on the data of one connection. The oracle knows the test's calls and the published events, but
// nothing of how Tidewire delivers them.

/** A published event. Its number is its place among all events, from 1. */
export interface Published {
  readonly number: number;
  readonly channel: string;
  /** Its place among the events of its channel, from 1. */
  readonly seq: number;
}

/** Everything published, in call order. */
export class Ledger {
  readonly #events: Published[] = [];
  readonly #byChannel: Map<string, number[]> = new Map();
  readonly #numbers: Map<string, number> = new Map();

  /** Number of the newest event: the position of the log. */
  get position(): number {
    return this.#events.length;
  }

  publish(channel: string): Published {
    let numbers = this.#byChannel.get(channel);
    if (numbers === undefined) this.#byChannel.set(channel, (numbers = []));
    const event = { number: this.#events.length + 1, channel, seq: numbers.length + 1 };
    this.#events.push(event);
    numbers.push(event.number);
    return event;
  }

  event(number: number): Published | undefined {
    return this.#events[number - 1];
  }

  /** @returns Number of events of a channel up to a position. */
  countAt(channel: string, position: number): number {
    const numbers = this.#byChannel.get(channel) ?? [];
    let [low, high] = [0, numbers.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((numbers[middle] as number) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @returns Number of an event of a channel, by its place in the channel. */
  numberAt(channel: string, seq: number): number | undefined {
    return this.#byChannel.get(channel)?.[seq - 1];
  }

  /** Records the id of an event or, with 0, the id of the log's beginning. */
  name(id: string, number: number): void {
    this.#numbers.set(id, number);
  }

  numberOf(id: string): number | undefined {
    return this.#numbers.get(id);
  }
}

/** One call of `subscribe`. */
export interface Call {
  readonly latest: number;
  readonly hasSnapshot: boolean;
  /**
   * Whether its channels start at the client's reported position: the first call, and calls of its turn without a
   * snapshot.
   */
  readonly isReplayed: boolean;
  /** Whether it is the first of the connection. */
  readonly isFirst: boolean;
  /** Whether its snapshot is still to come, which is the case again after each reset. */
  isStateDue: boolean;
  /** The last snapshot that was taken; `undefined` before the first. */
  take: Take | undefined;
  /** Number of its snapshots received, and number of resets when it was made. */
  states: number;
  resetsBefore: number;
}

/** A snapshot that was taken. */
export interface Take {
  readonly call: Call;
  /** Position of the log at that time. */
  readonly position: number;
  hasArrived: boolean;
}

/** The period from an effective `subscribe` to the next `unsubscribe`. */
interface Stay {
  readonly channel: string;
  readonly call: Call;
  /** Events published after this position are due. */
  readonly start: number;
  readonly startSeq: number;
  /** Position of the log when the channel was left. */
  leave: number;
  /** Blocks that begin past this byte of the connection were written after the channel was left. */
  limit: number;
  /** Place of the last event received or contained in a snapshot; `undefined` while there is none. */
  last: number | undefined;
  /** Set by a reset without an id until the next event: the position of the reset is somewhere after `floor`. */
  reset: { readonly floor: number; bound: number } | undefined;
  /**
   * Set by a reset if the call asked for `latest`, which then follows the reset: place of its last event, or 0 before
   * the first.
   */
  again: number | undefined;
  /** Last event that may arrive this way: the channel continues there after the reset. */
  againUpTo: number;
}

/** State at the time of a server action: position of the log, and progress of the connection. */
export interface Moment {
  /** Number of the newest event. */
  readonly position: number;
  /** Bytes of the connection that were written or are held by the outlet. Blocks that begin later were written later. */
  readonly bytes: number;
}

interface Version {
  readonly from: number;
  readonly channels: string;
}

export interface Reset {
  readonly reason: string;
  readonly channels: readonly string[];
}

/** Expectations for one connection. */
export class Visit {
  /** The first fault; nothing is checked after it. */
  fault: { readonly kind: string; readonly text: string } | undefined;
  checked = 0;
  resets = 0;
  /** Set once the client has left: nothing more is expected. */
  isOver = false;
  /** Position of the log when `complete` was called. */
  completedAt: number | undefined;
  /** The client's present position; `undefined` if it would return without one. */
  told: number | undefined;
  readonly since: number | undefined;
  /** Events on the connection, for the report of a fault. */
  readonly story: string[] = [];
  readonly #ledger: Ledger;
  readonly #maxEvents: number;
  readonly #stays: Map<string, Stay[]> = new Map();
  readonly #open: Map<string, Stay> = new Map();
  readonly #versions: Version[] = [];
  /** Channels of the stream on the server, each with its call. `#open` follows when the client has got that far. */
  readonly #joined: Map<string, Call> = new Map();
  /** Bytes of the connection received by the client. */
  #received = 0;
  /** Server actions that the client has not reached yet, in order. */
  readonly #ahead: { readonly bytes: number; readonly apply: () => void }[] = [];
  /** Largest position that the client is known to have had. */
  #lastNumber: number;

  /**
   * @param since - Position reported by the client; `undefined` for none.
   * @param maxEvents - Number of retained events.
   * @param position - Position of the log.
   */
  constructor(
    ledger: Ledger,
    maxEvents: number,
    since: number | undefined,
    position: number = ledger.position,
  ) {
    this.#ledger = ledger;
    this.#maxEvents = maxEvents;
    this.since = since;
    this.told = since;
    this.#lastNumber = since ?? position;
    this.#note(position);
  }

  /** Largest position that the client is known to have had. */
  get position(): number {
    return this.#lastNumber;
  }

  /** Channels of the stream on the server. */
  get channels(): string[] {
    return [...this.#joined.keys()];
  }

  has(channel: string): boolean {
    return this.#joined.has(channel);
  }

  /** A call takes effect. */
  join(channels: readonly string[], call: Call, moment: Moment): void {
    for (const channel of channels) this.#joined.set(channel, call);
    this.#later(moment, () => this.#join(channels, call, moment));
  }

  #join(channels: readonly string[], call: Call, { position }: Moment): void {
    call.resetsBefore = this.resets;
    // A client from a process that is ahead starts at its own position.
    const start = call.isReplayed ? (this.since as number) : Math.max(position, this.since ?? 0);
    const details = `${call.latest > 0 ? ` latest ${call.latest}` : ""}${call.hasSnapshot ? " snapshot" : ""}`;
    this.#tell(position, `joins ${channels.join()} after ${start}${details}`);
    for (const channel of channels) {
      const stay: Stay = {
        channel,
        call,
        start,
        startSeq: this.#ledger.countAt(channel, start),
        leave: Infinity,
        limit: Infinity,
        last: undefined,
        reset: undefined,
        again: undefined,
        againUpTo: 0,
      };
      this.#open.set(channel, stay);
      const stays = this.#stays.get(channel);
      if (stays === undefined) this.#stays.set(channel, [stay]);
      else stays.push(stay);
    }
    // A reset in place of the replay waits for all calls that take part, and names their channels.
    if (call.isReplayed) this.#versions.length = 0;
    this.#note(position);
  }

  /** @param limit - Blocks that begin past this byte were written later. */
  leave(channels: readonly string[], limit: number, moment: Moment): void {
    for (const channel of channels) this.#joined.delete(channel);
    this.#later(moment, () => this.#leave(channels, limit, moment));
  }

  #leave(channels: readonly string[], limit: number, { position }: Moment): void {
    this.#tell(position, `leaves ${channels.join()}, ${limit} bytes written`);
    for (const channel of channels) {
      const stay = this.#open.get(channel);
      if (stay === undefined) continue;
      stay.leave = position;
      stay.limit = limit;
      this.#open.delete(channel);
    }
    this.#note(position);
  }

  /** A snapshot is taken. */
  take(call: Call, moment: Moment): Take {
    const take = { call, position: moment.position, hasArrived: false };
    if (!this.isOver && ![...this.#joined.values()].includes(call)) {
      this.#fail("snapshot after leaving", "the snapshot of channels that were left is taken");
    }
    this.#later(moment, () => {
      call.take = take;
      this.#tell(moment.position, "snapshot taken");
    });
    return take;
  }

  /** The client has received this many bytes of the connection. */
  received(bytes: number): void {
    this.#received = Math.max(this.#received, bytes);
    while (this.#ahead[0] !== undefined && this.#ahead[0].bytes <= this.#received) {
      this.#ahead.shift()?.apply();
    }
  }

  /** Applies a change once the client has received everything written before it. */
  #later({ bytes }: Moment, apply: () => void): void {
    this.#ahead.push({ bytes, apply });
    this.received(0);
  }

  /**
   * An event has arrived.
   *
   * @param at - Byte of the connection at which the write with this event begins.
   */
  event(number: number, id: string | undefined, at: number): void {
    this.received(at);
    this.checked += 1;
    const event = this.#ledger.event(number);
    if (event === undefined) return this.#fail("unknown event", `event ${number}`);
    if (id !== undefined) {
      if (this.#ledger.numberOf(id) !== number) this.#fail("wrong id", `${number} has id ${id}`);
      if (this.told !== undefined && number <= this.told) {
        return this.#fail("disorder", `${number} after ${this.told}`);
      }
      this.#lastNumber = Math.max(this.#lastNumber, number);
      this.told = number;
    }
    const stay = id === undefined ? this.#stayWithoutId(event, at) : this.#stayOf(event);
    if (stay === undefined) {
      return this.#fail(
        "not subscribed",
        `${this.#name(event)} ${id === undefined ? "without id " : ""}though the stays are ${this.#describe(event.channel)}`,
      );
    }
    if (at >= stay.limit) {
      return this.#fail(
        "written after unsubscribe",
        `${this.#name(event)} in a write at byte ${at}, when the channel was left at ${stay.limit}`,
      );
    }
    if (stay.again !== undefined && id === undefined && event.seq <= stay.againUpTo) {
      if (stay.again > 0 && event.seq !== stay.again + 1)
        return this.#fail("latest", `${this.#name(event)} after ${stay.again} and a reset`);
      stay.again = event.seq;
      return undefined;
    }
    const { take } = stay.call;
    if (take !== undefined && !take.hasArrived && stay.leave === Infinity) {
      if (number > take.position)
        return this.#fail("before its snapshot", `${this.#name(event)}, taken at ${take.position}`);
    }
    this.#arrive(stay, event);
  }

  /** A snapshot has arrived. */
  state(take: Take, at: number): void {
    this.received(at);
    const { call, position } = take;
    take.hasArrived = true;
    call.states += 1;
    call.isStateDue = false;
    this.#tell(position, "got the snapshot");
    if (call.states > 1 + this.resets - call.resetsBefore) {
      return this.#fail("two snapshots", "a snapshot came twice without a reset");
    }
    if (!this.#hasOpen(call) && at >= this.#limitOf(call)) {
      return this.#fail("snapshot after leaving", "the snapshot of channels that were left came");
    }
    for (const stay of this.#staysAt(at)) {
      if (stay.reset !== undefined) stay.reset.bound = Math.min(stay.reset.bound, position);
      if (stay.call !== call) continue;
      const seq = this.#ledger.countAt(stay.channel, position);
      if (seq < (stay.reset?.floor ?? stay.last ?? stay.startSeq)) {
        return this.#fail(
          "stale snapshot",
          `that of ${stay.channel} was taken at ${position}, and the client has more`,
        );
      }
      stay.last = seq;
      stay.reset = undefined;
    }
  }

  /** The client receives a position. */
  cursor(id: string, at: number): void {
    this.received(at);
    const number = this.#ledger.numberOf(id);
    this.#tell(number, "got a cursor");
    if (number === undefined) return this.#fail("wrong id", `a cursor has the id ${id}`);
    if (this.told !== undefined && number < this.told) {
      return this.#fail("disorder", `a cursor at ${number} after ${this.told}`);
    }
    this.#lastNumber = Math.max(this.#lastNumber, number);
    this.told = number;
    this.#checkHasAllUpTo(number, `the cursor is ${number}`);
  }

  /**
   * @param latest - Position of the log when the reset arrived, or later.
   * @param hasCause - Whether every position like the client's is void, whatever the window contains.
   */
  reset(
    { reason, channels }: Reset,
    id: string,
    at: number,
    { latest, hasCause = false }: { latest: number; hasCause?: boolean },
  ): void {
    this.received(at);
    this.resets += 1;
    const position = id === "" ? undefined : this.#ledger.numberOf(id);
    if (id !== "" && position === undefined) this.#fail("wrong id", `a reset has the id ${id}`);
    const now = position ?? latest;
    this.#tell(now, `got a reset to ${position}, ${reason}, of ${channels.join()}`);
    if (!hasCause && !this.#hasCause(reason, now)) {
      this.#fail(
        "reset without a cause",
        `${reason} at ${position}, the client had ${this.#lastNumber} and ${this.#maxEvents} are retained`,
      );
    }
    const named = channels.toSorted().join();
    const versions = this.#versions.filter(({ from }, index) => {
      const until = this.#versions[index + 1]?.from ?? Infinity;
      return from <= latest && until >= (position ?? this.#lastNumber);
    });
    if (!versions.some((version) => version.channels === named)) {
      this.#fail(
        "reset of other channels",
        `${reason} at ${position} names ${named}, the stream had ${versions.map((version) => version.channels || "none").join(" or ")}`,
      );
    }
    for (const channel of channels) {
      const stay = this.#stays.get(channel)?.findLast(({ start }) => start <= now);
      if (stay === undefined) continue;
      if (stay.call.latest > 0) stay.again = 0;
      if (position === undefined) {
        const floor = stay.reset?.floor ?? stay.last ?? stay.startSeq;
        stay.reset = { floor, bound: Infinity };
        stay.againUpTo = Math.max(stay.startSeq, floor);
      } else {
        const seq = this.#ledger.countAt(channel, position);
        stay.againUpTo = seq;
        if (seq < (stay.last ?? 0))
          this.#fail("disorder", `a reset at ${position} after ${channel} ${stay.last}`);
        stay.last = seq;
        stay.reset = undefined;
      }
    }
    for (const { call } of this.#open.values()) call.isStateDue = call.hasSnapshot;
    this.told = position;
    this.#lastNumber = position ?? this.#lastNumber;
  }

  /** The effect of `complete` has reached the client. */
  completed(at: number): void {
    this.received(at);
    if (this.completedAt === undefined)
      return this.#fail("completed", "nobody has called complete");
    this.#checkHasAllUpTo(this.completedAt, `complete() was called at ${this.completedAt}`);
  }

  /** The client leaves in any way: the id with which it returns must cover everything it received. */
  end(): void {
    if (this.isOver) return;
    if (this.told !== undefined) {
      this.#checkHasAllUpTo(this.told, `the client was cut at ${this.told}`);
    }
    this.isOver = true;
  }

  /** @returns The first thing that the client has not received yet. */
  missing(): string | undefined {
    if (this.isOver || this.fault !== undefined) return undefined;
    const next = this.#ahead[0];
    if (next !== undefined) return `byte ${next.bytes}`;
    for (const stay of this.#open.values()) {
      const lack = this.#lack(stay, this.#ledger.position);
      if (lack !== undefined) return lack;
      if (stay.call.isStateDue) return `snapshot of ${stay.channel}`;
    }
    return undefined;
  }

  /** Called when everything had enough time to arrive. */
  settle(): void {
    const missing = this.missing();
    if (missing !== undefined) this.#fail("hole at the end", missing);
  }

  #arrive(stay: Stay, event: Published): void {
    const { seq } = event;
    if (stay.reset !== undefined) {
      const { floor, bound } = stay.reset;
      const most = this.#ledger.countAt(stay.channel, bound) + 1;
      stay.reset = undefined;
      stay.last = seq;
      if (seq <= floor) this.#fail("double", `${this.#name(event)} after ${floor} and a reset`);
      if (seq > most) this.#fail("hole", `${this.#name(event)} instead of ${most} after a reset`);
      return;
    }
    const { last, startSeq } = stay;
    // The first of the `latest` events may be any: their number is not checked here.
    const isFirstOfLatest = last === undefined && stay.call.latest > 0 && seq <= startSeq;
    const next = (last ?? startSeq) + 1;
    if (!isFirstOfLatest && seq !== next) {
      return this.#fail(
        seq < next ? "double" : "hole",
        `${this.#name(event)} instead of ${next}, subscribed at ${stay.start} (${startSeq})`,
      );
    }
    stay.last = seq;
  }

  #stayOf({ channel, number }: Published): Stay | undefined {
    const stays = this.#stays.get(channel) ?? [];
    return (
      stays.findLast(({ start, leave }) => start < number && number <= leave) ??
      stays.findLast(({ start, call }) => call.latest > 0 && number <= start)
    );
  }

  /**
   * Events without ids are those of `latest` and, before the client's first position, all others: a client cut off in
   * between must begin anew.
   */
  #stayWithoutId({ channel, seq, number }: Published, at: number): Stay | undefined {
    const stays = this.#stays.get(channel) ?? [];
    const isAgain = ({ again, againUpTo }: Stay): boolean =>
      again !== undefined && seq <= againUpTo;
    const isOfLatest = ({ call, last, startSeq }: Stay): boolean =>
      call.latest > 0 && (last === undefined ? seq <= startSeq + 1 : seq === last + 1);
    // A channel that was left and joined again: events after the new call belong to the new stay.
    const owner = stays.findLast((stay) => at < stay.limit && (isAgain(stay) || isOfLatest(stay)));
    if (owner !== undefined && isAgain(owner)) return owner;
    const latest = owner ?? stays.findLast(isOfLatest);
    if (this.told !== undefined) return latest;
    const within = stays.filter(({ start, leave }) => start < number && number <= leave);
    const isNext = ({ last, startSeq, reset }: Stay): boolean =>
      reset !== undefined || seq === (last ?? startSeq) + 1;
    return (
      within.findLast(({ leave }) => leave === Infinity) ??
      within.findLast((stay) => at < stay.limit && isNext(stay)) ??
      latest ??
      within.at(-1)
    );
  }

  /** @returns Whether a due event had left the window when the log was at a position. */
  #hasCause(reason: string, position: number): boolean {
    if (reason === "unknown") return false;
    for (const [channel, stays] of this.#stays) {
      const stay = stays.findLast(({ start }) => start <= position);
      // A channel that was left while the reset was waiting counts as a cause, but is not named.
      if (stay === undefined || stay.leave < position) continue;
      const next = (stay.reset?.floor ?? stay.last ?? stay.startSeq) + 1;
      const number = this.#ledger.numberAt(channel, next);
      if (number !== undefined && number <= position - this.#maxEvents) return true;
    }
    return false;
  }

  /** Stays to which a block at this byte of the connection may belong. */
  *#staysAt(at: number): Generator<Stay> {
    for (const stays of this.#stays.values()) {
      for (const stay of stays) if (at < stay.limit) yield stay;
    }
  }

  #hasOpen(call: Call): boolean {
    for (const stay of this.#open.values()) if (stay.call === call) return true;
    return false;
  }

  #limitOf(call: Call): number {
    let limit = 0;
    for (const stays of this.#stays.values()) {
      for (const stay of stays) if (stay.call === call) limit = Math.max(limit, stay.limit);
    }
    return limit;
  }

  #checkHasAllUpTo(position: number, why: string): void {
    for (const stay of this.#open.values()) {
      const lack = this.#lack(stay, position);
      if (lack !== undefined) return this.#fail("hole", `${why}, but it has no ${lack}`);
    }
  }

  #lack(stay: Stay, position: number): string | undefined {
    if (position <= stay.start) return undefined;
    // Events published before a state are part of it. A client cut off before it gets another, except for the state of
    // the first call, which the client's position stands for.
    if (stay.call.isStateDue && !stay.call.isFirst) return undefined;
    const needed = this.#ledger.countAt(stay.channel, position);
    const { reset } = stay;
    const has =
      reset === undefined
        ? (stay.last ?? stay.startSeq)
        : Math.max(reset.floor, this.#ledger.countAt(stay.channel, reset.bound));
    return has < needed ? `${stay.channel} ${has + 1} (subscribed at ${stay.start})` : undefined;
  }

  #note(position: number): void {
    this.#versions.push({
      from: position,
      channels: [...this.#open.keys()].toSorted().join(),
    });
  }

  #name({ number, channel, seq }: Published): string {
    return `event ${number} (${channel} ${seq})`;
  }

  #describe(channel: string): string {
    return (
      (this.#stays.get(channel) ?? [])
        .map(
          ({ start, startSeq, leave, last, call }) =>
            `(${start}, ${leave}] from ${startSeq} to ${last}${call.latest > 0 ? " latest" : ""}`,
        )
        .join() || "none"
    );
  }

  #tell(position: number | undefined, what: string): void {
    if (this.fault === undefined) this.story.push(`@${position} ${what}`);
  }

  #fail(kind: string, text: string): void {
    if (this.isOver) return;
    const from = this.since === undefined ? "new" : `back at ${this.since}`;
    this.fault ??= { kind, text: `${text}; a client that was ${from}` };
  }
}
