/** Snapshot functions of a stream's channels, kept because they are called again after a reset. */

import type { SnapshotMessages } from "../options/subscribe.js";
import { Scope } from "../outlet/async-context.js";

/** A function that returns the state of channels, with the async context it belongs to. */
export interface Snapshot {
  readonly take: () => SnapshotMessages | PromiseLike<SnapshotMessages>;
  readonly scope: Scope;
  /** Joined channels that it covers. */
  readonly channels: Set<string>;
}

/** Snapshots of joined channels. One function may cover the channels of several calls. */
export class Snapshots {
  readonly #byFunction: Map<Snapshot["take"], Snapshot> = new Map();
  readonly #byChannel: Map<string, Snapshot> = new Map();

  /** Adds joined channels that a function covers. Remembers the caller's async context. */
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

  /** @returns All snapshots, in insertion order. */
  values(): Iterable<Snapshot> {
    return this.#byFunction.values();
  }
}
