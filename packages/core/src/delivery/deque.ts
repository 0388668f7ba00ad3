/** Dropped entries that an array may drag along before it is copied. */
const SLACK = 1_024;

/** A list that grows at the end and shrinks at the front. */
export class Deque<Item> {
  #items: Item[];
  /** Items before it are dropped. */
  #head = 0;

  /** @param items - Those that it begins with. Given one, it takes room for one: an empty list grows by a dozen. */
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

  shift(): void {
    // Dropped items are let go at once: only their places in the array stay for a while.
    this.#items[this.#head++] = undefined as Item;
    if (this.#head > SLACK && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** @returns The first index where the condition holds, which from there on always holds; the length if nowhere. */
export function firstWhere<Item>(list: Deque<Item>, isTrue: (item: Item) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isTrue(list.at(middle) as Item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
