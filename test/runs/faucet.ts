/** A source of a run that a test opens and closes by hand. */
export class Faucet<Item = string> implements AsyncIterable<Item> {
  /** Whether the run has left the source. */
  isLeft = false;
  /** Items that the run has asked for. */
  asked = 0;
  readonly #items: Item[] = [];
  #end: { readonly error?: unknown } | undefined;
  #wake = (): void => {};

  /** Gives items to the run. */
  give(...items: Item[]): this {
    this.#items.push(...items);
    this.#wake();
    return this;
  }

  /** Ends the source, with an error if there is one. */
  end(end: { readonly error?: unknown } = {}): void {
    this.#end = end;
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<Item> {
    return {
      next: async () => {
        this.asked += 1;
        for (;;) {
          const [item] = this.#items.splice(0, 1);
          if (item !== undefined) return { done: false, value: item };
          if (this.#end !== undefined) {
            if ("error" in this.#end) throw this.#end.error;
            return { done: true, value: undefined };
          }
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      },
      return: async () => {
        this.isLeft = true;
        return { done: true, value: undefined };
      },
    };
  }
}
