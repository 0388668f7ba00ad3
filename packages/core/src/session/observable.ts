/** Observables as sources of `session.stream()`: they push, and cannot be asked to wait. */

/**
 * An Observable, as in RxJS: an object with the method `Symbol.observable`.
 *
 * @see https://github.com/tc39/proposal-observable
 */
export interface ObservableLike<Item> {
  /** Starts to push. The returned function or object stops it. */
  subscribe(observer: {
    next(item: Item): void;
    error(error: unknown): void;
    complete(): void;
  }): { unsubscribe(): void } | (() => void);
  /** Never called: it gives the compiler the item type where `subscribe` has overloads. */
  readonly forEach?: (next: (item: Item) => void) => PromiseLike<void>;
}

/** Receives what an Observable pushes. */
export interface ItemObserver {
  /** An item has arrived. If this throws, the subscription ends. */
  next(item: unknown): void;
  /** The subscription is over: the source or `next` has failed. */
  failed(error: unknown): void;
  /** The subscription is over: the source has completed. */
  completed(): void;
  /** Unsubscribing has failed. */
  leftOver(error: unknown): void;
}

/** RxJS looks up the symbol when it is loaded, and falls back to the string. */
const KEYS = (): readonly PropertyKey[] => {
  const { observable } = Symbol as { observable?: symbol };
  return observable === undefined ? ["@@observable"] : [observable, "@@observable"];
};

/** @returns The Observable that a value is or refers to; `undefined` if there is none. */
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
 * @returns Ends the subscription. The observer is not called after that.
 */
export function observe(source: ObservableLike<unknown>, observer: ItemObserver): () => void {
  let isOver = false;
  // `undefined` while the source pushes inside `subscribe` itself.
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
  // It ended while pushing, before there was a subscription to end.
  if (isOver) unsubscribe();
  return stop;
}
