/** The channels of one stream, and the starts of those that begin ahead of its cursor. */

/** Channels, each with the position after which its entries count; `undefined` for all of them. A `Map` qualifies. */
export interface ChannelPositions extends Iterable<readonly [string, number | undefined]> {
  readonly size: number;
}

/**
 * Channels, each with its own start if it has one.
 *
 * Nearly every stream has one channel and no start. It needs no map: ten thousand maps would weigh megabytes.
 */
export class ChannelSet implements ChannelPositions {
  /** The only channel; `undefined` if there is none or `#several` is set. */
  #only: string | undefined;
  /** Set once the stream has had several channels. */
  #several: Set<string> | undefined;
  /** Positions after which channels count; `undefined` while no channel has a start. */
  #starts: Map<string, number> | undefined;

  /** Number of channels. */
  get size(): number {
    return this.#several?.size ?? (this.#only === undefined ? 0 : 1);
  }

  /** The latest of all starts; -Infinity if there is none. */
  get latestStart(): number {
    let latest = -Infinity;
    for (const start of this.#starts?.values() ?? []) latest = Math.max(latest, start);
    return latest;
  }

  /** Whether a channel is in the set. */
  has(channel: string): boolean {
    return this.#several?.has(channel) ?? this.#only === channel;
  }

  /** @returns A channel's name: the string that the set holds, if it is the only channel. */
  nameOf(channel: string): string {
    return this.#only === channel ? this.#only : channel;
  }

  /** @returns The channel's start; `undefined` if it has none or is not in the set. */
  startOf(channel: string): number | undefined {
    return this.#starts?.get(channel);
  }

  /**
   * Adds a channel, or changes the start of one that is present.
   *
   * @param start - Position after which its entries count; `undefined` for the cursor of the stream.
   */
  add(channel: string, start: number | undefined): void {
    if (!this.has(channel)) {
      if (this.#several !== undefined) this.#several.add(channel);
      else if (this.#only === undefined) this.#only = channel;
      else {
        this.#several = new Set([this.#only, channel]);
        this.#only = undefined;
      }
    }
    if (start === undefined) {
      this.#forget(channel);
    } else {
      this.#starts ??= new Map();
      this.#starts.set(channel, start);
    }
  }

  /** @returns Whether the channel was in the set. */
  delete(channel: string): boolean {
    this.#forget(channel);
    if (this.#several !== undefined) return this.#several.delete(channel);
    if (this.#only !== channel) return false;
    this.#only = undefined;
    return true;
  }

  /** Drops the starts that the cursor of the stream has reached. */
  passed(cursor: number): void {
    if (this.#starts === undefined) return;
    for (const [channel, start] of this.#starts) if (start <= cursor) this.#starts.delete(channel);
    if (this.#starts.size === 0) this.#starts = undefined;
  }

  /** @returns The names, in insertion order. */
  keys(): string[] {
    if (this.#several !== undefined) return [...this.#several];
    return this.#only === undefined ? [] : [this.#only];
  }

  /** Iterates over the channels and their starts, in insertion order. */
  *[Symbol.iterator](): Iterator<[string, number | undefined]> {
    if (this.#only !== undefined) yield [this.#only, this.startOf(this.#only)];
    for (const channel of this.#several ?? []) yield [channel, this.startOf(channel)];
  }

  #forget(channel: string): void {
    if (this.#starts?.delete(channel) === true && this.#starts.size === 0) this.#starts = undefined;
  }
}
