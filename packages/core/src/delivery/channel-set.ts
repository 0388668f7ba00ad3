/**
 * The channels of one stream, and for each the position after which it counts.
 *
 * Nearly every stream has one channel. That costs no map, of which ten thousand would weigh megabytes.
 */
export class ChannelSet {
  /** The only channel; `undefined` if there is none or `#several` is set. */
  #only: string | undefined;
  /** Of `#only`. */
  #since = 0;
  /** Set once there have been several. */
  #several: Map<string, number> | undefined;

  /** Number of channels. */
  get size(): number {
    return this.#several?.size ?? (this.#only === undefined ? 0 : 1);
  }

  /** Whether a channel is among them. */
  has(channel: string): boolean {
    return this.#several?.has(channel) ?? this.#only === channel;
  }

  /** @returns The position after which a channel counts; `undefined` if it is not among them. */
  get(channel: string): number | undefined {
    if (this.#several !== undefined) return this.#several.get(channel);
    return this.#only === channel ? this.#since : undefined;
  }

  /** Adds a channel, or moves the position of one that is there. */
  set(channel: string, since: number): void {
    if (this.#several === undefined && (this.#only === undefined || this.#only === channel)) {
      this.#only = channel;
      this.#since = since;
      return;
    }
    this.#several ??= new Map(this);
    this.#only = undefined;
    this.#several.set(channel, since);
  }

  /** @returns Whether the channel was there. */
  delete(channel: string): boolean {
    if (this.#several !== undefined) return this.#several.delete(channel);
    if (this.#only !== channel) return false;
    this.#only = undefined;
    return true;
  }

  /** @returns The names, in the order in which they were added. */
  keys(): string[] {
    if (this.#several !== undefined) return [...this.#several.keys()];
    return this.#only === undefined ? [] : [this.#only];
  }

  /** Goes over the channels and their positions, in the order in which they were added. */
  [Symbol.iterator](): Iterator<[string, number]> {
    if (this.#several !== undefined) return this.#several.entries();
    const only: [string, number][] = this.#only === undefined ? [] : [[this.#only, this.#since]];
    return only.values();
  }
}
