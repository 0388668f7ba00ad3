/** Calls of `subscribe` that have not taken effect yet, and the decisions that a reconnecting client waits for. */

import type { OpenOptions } from "../options/open.js";

/** One `subscribe` call that waits for `authorize` or the log. */
export class Call {
  /** The call's channels, except those left since. */
  readonly channels: Set<string>;
  /** Whether its channels begin at the client's reported position. */
  readonly isReplayed: boolean;
  /** Whether the replay, or a reset in its place, waits for it. */
  readonly isAwaited: boolean;
  /** Whether it is the first of its session. */
  readonly isFirst: boolean;
  /** Whether it is the first of its session and has a snapshot: the client gets no position before that. */
  readonly givesFirstState: boolean;
  /** Options for opening the stream, if the call has any. */
  readonly open: OpenOptions | undefined;
  /** Resolves once all its channels have been left. */
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

  /** Channels are left before the call takes effect. */
  leave(channels: Iterable<string>): void {
    for (const channel of channels) this.channels.delete(channel);
    if (this.channels.size === 0) this.#cancel();
  }
}

/** Tracks a session from its first `subscribe` until every call has taken effect. */
export class Arrival {
  /** The id that the client reports; `""` if it is new, or if its first turn was over before. */
  readonly lastEventId: string;
  /** `true` until the turn of the first call ends: the calls of that turn take part in the replay. */
  isFirstTurn: boolean;
  /** `true` while the subscription exists but still needs its position. */
  isUnplaced = false;
  /** Whether a new stream waits for its first state. */
  awaitsFirstState = false;
  /** Calls that have not taken effect yet. */
  readonly calls: Set<Call> = new Set();
  /** Each function is called once all calls pending when it was added have taken effect. */
  #after: { readonly calls: readonly Call[]; readonly fn: () => void }[] = [];

  constructor(lastEventId: string) {
    this.lastEventId = lastEventId;
    this.isFirstTurn = lastEventId !== "";
  }

  /** Options for opening the stream, if a pending call has any. */
  get open(): OpenOptions | undefined {
    for (const { open, channels } of this.calls) {
      if (open !== undefined && channels.size > 0) return open;
    }
    return undefined;
  }

  /** Calls a function once all calls pending now have taken effect. */
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

  /** Whether the request for the first state is still to come. */
  get isFirstStatePending(): boolean {
    for (const call of this.calls) if (call.givesFirstState) return true;
    return false;
  }

  /** Whether the client's position may be decided: all calls that take part in the replay have been. */
  get isComplete(): boolean {
    if (this.isFirstTurn) return false;
    for (const call of this.calls) if (call.isAwaited) return false;
    return true;
  }
}
