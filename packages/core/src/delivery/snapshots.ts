/** The functions that give the state of a stream's channels: they are called again after a reset. */

import type { SnapshotMessages } from "../options/subscribe.js";
import { Scope } from "../outlet/async-context.js";

/** A function that gives the state of channels, and the async context that it belongs to. */
export interface Snapshot {
  readonly take: () => SnapshotMessages | PromiseLike<SnapshotMessages>;
  readonly scope: Scope;
  /** Joined channels whose state it gives. */
  readonly channels: Set<string>;
}

/** Snapshots of joined channels. One function may give the state of the channels of several calls. */
export class Snapshots {
  readonly #byFunction: Map<Snapshot["take"], Snapshot> = new Map();
  readonly #byChannel: Map<string, Snapshot> = new Map();

  /** Channels are joined whose state a function gives. Remembers the caller's async context. */
  add(take: Snapshot["take"], channels: readonly string[]): Snapshot {
    let snapshot = this.#byFunction.get(take);
    if (snapshot === undefined) {
      snapshot = { take, scope: new Scope(), channels: new Set() };
      this.#byFunction.set(take, snapshot);
    }
    for (const channel of channels) {
      snapshot.channels.add(channel);
      this.#byChannel.set(channel, snapshot);
    }
    return snapshot;
  }

  /** A channel was left. */
  leave(channel: string): void {
    const snapshot = this.#byChannel.get(channel);
    if (snapshot === undefined) return;
    this.#byChannel.delete(channel);
    snapshot.channels.delete(channel);
    if (snapshot.channels.size === 0) this.#byFunction.delete(snapshot.take);
  }

  /** @returns All of them, in the order in which they were added. */
  values(): Iterable<Snapshot> {
    return this.#byFunction.values();
  }
}
