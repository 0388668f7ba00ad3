/** Renews credentials once for all streams that were refused at the same time. */

/** The option `onUnauthorized`. */
export type Renew = (refusal: { readonly httpStatus: number }) => unknown;

interface Renewal {
  readonly result: Promise<unknown>;
  /** The turn in which it ended; `undefined` while it runs. */
  endedIn: number | undefined;
}

const renewals = new WeakMap<Renew, Renewal>();

/** Counts requests and renewals, to tell which came first. */
let turn = 0;

/** @returns The turn of a request that begins now. */
export function beginTurn(): number {
  turn += 1;
  return turn;
}

/**
 * Calls `renew`, unless it runs already or has ended since the request began: then its result counts for this request.
 *
 * @param begunIn - Turn of the request that was refused.
 * @returns The result of `renew`. Rejects if it throws or rejects.
 */
export function renewOnce(renew: Renew, begunIn: number, httpStatus: number): Promise<unknown> {
  const last = renewals.get(renew);
  if (last !== undefined && (last.endedIn ?? Infinity) > begunIn) return last.result;
  const renewal: Renewal = {
    result: (async () => renew({ httpStatus }))().finally(() => {
      renewal.endedIn = beginTurn();
    }),
    endedIn: undefined,
  };
  renewals.set(renew, renewal);
  return renewal.result;
}
