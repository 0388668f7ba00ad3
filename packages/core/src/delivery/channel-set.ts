/** The channels of one stream, and where those begin that begin ahead of its cursor. */

/** Channels, and for each the position after which it counts; `undefined` for all of it. A `Map` is one. */
export interface ChannelPositions extends Iterable<readonly [string, number | undefined]> {
  readonly size: number;
}

/**
 * Channels, each with a start if it has one of its own.
 *
 * Nearly every stream has one channel and no start: that costs no map, of which ten thousand would weigh megabytes.
 */
export class ChannelSet implements ChannelPositions {
  /** The only channel; `undefined` if there is none or `#several` is set. */
  #only: string | undefined;
  /** Set once there have been several. */
  #several: Set<string> | undefined;
  /** Positions after which channels count; `undefined` while none has a start. */
  #starts: Map<string, number> | undefined;

  /** Number of channels. */
  get size(): number {
    return this.#several?.size ?? (this.#only === undefined ? 0 : 1);
  }

  /** The latest of all starts; -Infinity while there is none. */
  get latestStart(): number {
    let latest = -Infinity;
    for (const start of this.#starts?.values() ?? []) latest = Math.max(latest, start);
    return latest;
  }

  /** Whether a channel is among them. */
  has(channel: string): boolean {
    return this.#several?.has(channel) ?? this.#only === channel;
  }

  /** @returns The channel's start; `undefined` if it has none, or is not among them. */
  startOf(channel: string): number | undefined {
    return this.#starts?.get(channel);
  }

  /**
   * Adds a channel, or gives one that is there another start.
   *
   * @param start - Position after which it counts; `undefined` for the cursor of the stream.
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

  /** @returns Whether the channel was there. */
  delete(channel: string): boolean {
    this.#forget(channel);
    if (this.#several !== undefined) return this.#several.delete(channel);
    if (this.#only !== channel) return false;
    this.#only = undefined;
    return true;
  }

  /** Forgets the starts that the cursor of the stream has reached. */
  passed(cursor: number): void {
    if (this.#starts === undefined) return;
    for (const [channel, start] of this.#starts) if (start <= cursor) this.#starts.delete(channel);
    if (this.#starts.size === 0) this.#starts = undefined;
  }

  /** @returns The names, in the order in which they were added. */
  keys(): string[] {
    if (this.#several !== undefined) return [...this.#several];
    return this.#only === undefined ? [] : [this.#only];
  }

  /** Goes over the channels and their starts, in the order in which they were added. */
  *[Symbol.iterator](): Iterator<[string, number | undefined]> {
    if (this.#only !== undefined) yield [this.#only, this.startOf(this.#only)];
    for (const channel of this.#several ?? []) yield [channel, this.startOf(channel)];
  }

  #forget(channel: string): void {
    if (this.#starts?.delete(channel) === true && this.#starts.size === 0) this.#starts = undefined;
  }
}
