/** Counts durations by size, for Prometheus. */

/** A histogram with fixed bounds. */
export class Histogram {
  /** Upper bounds in ascending order. */
  readonly bounds: readonly number[];
  /** One more than `bounds`: the last is for values above all of them. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** Sum of all values. */
  get sum(): number {
    return this.#sum;
  }

  /** Adds a value. */
  add(value: number): void {
    this.#sum += value;
    const found = this.bounds.findIndex((bound) => value <= bound);
    const index = found === -1 ? this.bounds.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** @returns How many values are at most each bound, and last of all how many there are. */
  cumulative(): number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }

  /** Forgets all values. */
  reset(): void {
    this.#sum = 0;
    this.#counts.fill(0);
  }
}
