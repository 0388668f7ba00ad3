/** Observables as `session.stream()` takes them: they push, and cannot be asked to wait. */

/**
 * An Observable, as of RxJS: an object with the method `Symbol.observable`.
 *
 * @see https://github.com/tc39/proposal-observable
 */
export interface ObservableLike<Item> {
  /** Begins to push. The function or object that it gives ends that. */
  subscribe(observer: {
    next(item: Item): void;
    error(error: unknown): void;
    complete(): void;
  }): { unsubscribe(): void } | (() => void);
  /** Not called: it tells the compiler what the items are, where `subscribe` has several forms. */
  readonly forEach?: (next: (item: Item) => void) => PromiseLike<void>;
}

/** What an Observable leads to. */
export interface ItemObserver {
  /** An item has come. What it throws ends the subscription. */
  next(item: unknown): void;
  /** Nothing comes any more, because the source or `next` has failed. */
  failed(error: unknown): void;
  /** Nothing comes any more. */
  completed(): void;
  /** The end of a subscription has failed. */
  leftOver(error: unknown): void;
}

/** RxJS looks the symbol up when it is loaded, and takes the string where there is none. */
const KEYS = (): readonly PropertyKey[] => {
  const { observable } = Symbol as { observable?: symbol };
  return observable === undefined ? ["@@observable"] : [observable, "@@observable"];
};

/** @returns The Observable that a value is, or stands for; `undefined` if it is none. */
export function observableOf(value: unknown): ObservableLike<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const key of KEYS()) {
    const method: unknown = Reflect.get(value, key);
    if (typeof method === "function") return method.call(value) as ObservableLike<unknown>;
  }
  return undefined;
}

/**
 * Subscribes to an Observable.
 *
 * @returns Ends it. Nothing is told after that.
 */
export function observe(source: ObservableLike<unknown>, observer: ItemObserver): () => void {
  let isOver = false;
  // `undefined` while it pushes in `subscribe` itself.
  let subscription = undefined as ReturnType<ObservableLike<unknown>["subscribe"]> | undefined;
  const unsubscribe = (): void => {
    try {
      if (typeof subscription === "function") subscription();
      else subscription?.unsubscribe();
    } catch (error) {
      observer.leftOver(error);
    }
  };
  const stop = (): void => {
    if (isOver) return;
    isOver = true;
    unsubscribe();
  };
  subscription = source.subscribe({
    next(item) {
      if (isOver) return;
      try {
        observer.next(item);
      } catch (error) {
        stop();
        observer.failed(error);
      }
    },
    error(error) {
      if (isOver) return;
      isOver = true;
      observer.failed(error);
    },
    complete() {
      if (isOver) return;
      isOver = true;
      observer.completed();
    },
  });
  // Ended while it pushed, before there was anything to end it by.
  if (isOver) unsubscribe();
  return stop;
}
