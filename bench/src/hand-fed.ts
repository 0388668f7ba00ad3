/** Sources of runs that the benchmark feeds by hand: web streams, as the clients of models give them. */
export class HandFed {
  readonly #controllers = new Map<string, ReadableStreamDefaultController<string>>();
  /** Items of runs whose source is not open yet. */
  readonly #early = new Map<string, string[]>();
  readonly #start: (key: string) => void;

  /** @param start - Starts the run of a key, which opens its source. */
  constructor(start: (key: string) => void) {
    this.#start = start;
  }

  /** Opens the source of a run. */
  open(key: string): ReadableStream<string> {
    return new ReadableStream<string>({
      start: (controller) => {
        this.#controllers.set(key, controller);
        for (const text of this.#early.get(key) ?? []) controller.enqueue(text);
        this.#early.delete(key);
      },
    });
  }

  /** Starts the run of a key if there is none. */
  ensure(key: string): void {
    if (this.#controllers.has(key) || this.#early.has(key)) return;
    this.#early.set(key, []);
    this.#start(key);
  }

  /** Gives a run its next item; an empty text ends it. */
  feed(key: string, text: string): void {
    this.ensure(key);
    const controller = this.#controllers.get(key);
    if (controller === undefined) return void this.#early.get(key)?.push(text);
    if (text !== "") return controller.enqueue(text);
    controller.close();
    this.#controllers.delete(key);
  }
}
