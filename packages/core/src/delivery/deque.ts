/** The list behind the window: it grows at the end and shrinks at the front. */

/** Fewer dropped items than this are never worth a copy. */
const MIN_SLACK = 8;

/** A list that grows at the end and shrinks at the front. */
export class Deque<Item> {
  #items: Item[];
  /** Items before it are dropped. */
  #head = 0;

  /** @param items - Those that it begins with. The list owns them from now on. */
  constructor(items: Item[]) {
    this.#items = items;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): Item | undefined {
    return this.#items[this.#head + index];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Adds items before the first. */
  unshift(items: readonly Item[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  shift(): void {
    // Dropped items are let go at once: only their places in the array stay for a while.
    this.#items[this.#head++] = undefined as Item;
    // A third of what is held: each item is copied three times in its life, and a short list stays short.
    if (this.#head >= MIN_SLACK && this.#head * 4 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** What {@link firstWhere} searches. */
export interface Searchable<Item> {
  readonly length: number;
  at(index: number): Item | undefined;
}

/** @returns The first index where the condition holds, which from there on always holds; the length if nowhere. */
export function firstWhere<Item>(list: Searchable<Item>, isTrue: (item: Item) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isTrue(list.at(middle) as Item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
