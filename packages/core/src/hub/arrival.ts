/** Calls of `subscribe` that have yet to take effect, and what a client that comes back waits for. */

import type { OpenOptions } from "../options/open.js";

/** One call of `subscribe` that waits for `authorize` or for the log. */
export class Call {
  /** Channels that were not left since the call. */
  readonly channels: Set<string>;
  /** Whether its channels begin at the position that the client reports. */
  readonly isReplayed: boolean;
  /** Whether the replay, or a reset in its place, waits for it. */
  readonly isAwaited: boolean;
  /** Whether it is the first of its session. */
  readonly isFirst: boolean;
  /** Whether it is the first of its session and has a snapshot: the client gets no position before. */
  readonly givesFirstState: boolean;
  /** How the stream opens, if the call says so. */
  readonly open: OpenOptions | undefined;
  /** Resolves once all its channels were left. */
  readonly cancelled: Promise<void>;
  #cancel: () => void = () => {};

  constructor(
    channels: readonly string[],
    {
      isReplayed,
      isAwaited,
      isFirst,
      givesFirstState,
      open,
    }: Pick<Call, "isReplayed" | "isAwaited" | "isFirst" | "givesFirstState" | "open">,
  ) {
    this.channels = new Set(channels);
    this.isReplayed = isReplayed;
    this.isAwaited = isAwaited;
    this.isFirst = isFirst;
    this.givesFirstState = givesFirstState;
    this.open = open;
    this.cancelled = new Promise((resolve) => {
      this.#cancel = resolve;
    });
  }

  /** Channels are left before the call has taken effect. */
  leave(channels: Iterable<string>): void {
    for (const channel of channels) this.channels.delete(channel);
    if (this.channels.size === 0) this.#cancel();
  }
}

/** What a session waits for between its first `subscribe` and the moment when every call has taken effect. */
export class Arrival {
  /** What the client reports; `""` if it comes for the first time, or its first turn was over before. */
  readonly lastEventId: string;
  /** `true` until the turn of the first call is over: calls of that turn take part in the replay. */
  isFirstTurn: boolean;
  /** `true` from when the subscription was made until it was told its position, if it has to be told. */
  isUnplaced = false;
  /** Whether a new stream waits for its first state. */
  awaitsFirstState = false;
  /** Calls that have yet to take effect. */
  readonly calls: Set<Call> = new Set();
  /** Each is called once all calls that waited when it was added have taken effect. */
  #after: { readonly calls: readonly Call[]; readonly fn: () => void }[] = [];

  constructor(lastEventId: string) {
    this.lastEventId = lastEventId;
    this.isFirstTurn = lastEventId !== "";
  }

  /** How the stream opens, if one of the calls that wait says so. */
  get open(): OpenOptions | undefined {
    for (const { open, channels } of this.calls) {
      if (open !== undefined && channels.size > 0) return open;
    }
    return undefined;
  }

  /** Calls a function once all calls that wait now have taken effect. */
  whenDecided(fn: () => void): void {
    this.#after.push({ calls: [...this.calls], fn });
  }

  /** A call has taken effect, or never will. */
  decided(call: Call): void {
    this.calls.delete(call);
    const isOver = (one: { readonly calls: readonly Call[] }): boolean =>
      !one.calls.some((other) => this.calls.has(other));
    const over = this.#after.filter(isOver);
    this.#after = this.#after.filter((one) => !isOver(one));
    for (const { fn } of over) fn();
  }

  /** Whether the first state has yet to be asked for. */
  get isFirstStatePending(): boolean {
    for (const call of this.calls) if (call.givesFirstState) return true;
    return false;
  }

  /** Whether the position of the client may be decided: every call that takes part in the replay has been. */
  get isComplete(): boolean {
    if (this.isFirstTurn) return false;
    for (const call of this.calls) if (call.isAwaited) return false;
    return true;
  }
}
