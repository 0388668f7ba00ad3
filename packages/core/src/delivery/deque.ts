/** The window's list: grows at the end, shrinks at the front. */

/** Compaction is not worth it for fewer dropped items than this. */
const MIN_SLACK = 8;

/** A list that grows at the end and shrinks at the front. */
export class Deque<Item> {
  #items: Item[];
  /** Items before this index are dropped. */
  #head = 0;

  /** @param items - Initial items. The list takes ownership. */
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
    // Releases the dropped item at once; its slot in the array stays until compaction.
    this.#items[this.#head++] = undefined as Item;
    // Compacts at a third of what is held: each item is copied about three times in its life, and a short list stays
    // short.
    if (this.#head >= MIN_SLACK && this.#head * 4 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** A list that {@link firstWhere} can search. */
export interface Searchable<Item> {
  readonly length: number;
  at(index: number): Item | undefined;
}

/**
 * @returns The first index where the condition holds; the length if there is none. Once true, it must stay true to the
 *   end.
 */
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
