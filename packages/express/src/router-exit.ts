/** Detects when a request moves from one Express router to another. */

/** A request handled by Express. `next` belongs to the current router, and is restored when that router is left. */
interface Routed {
  next?: unknown;
}

/**
 * Calls a function whenever a request enters or leaves a router.
 *
 * Express offers no other sign: a router sets `request.next` when it starts and restores it when it is done, also in an
 * application mounted in another. If the property does not exist, the function is not called.
 *
 * @param request - A request that is in a router at present.
 * @param fn - Receives the new value of `request.next`.
 */
export function watchRouters(request: object, fn: (next: unknown) => void): void {
  const routed: Routed = request;
  const before = Object.getOwnPropertyDescriptor(routed, "next");
  if (before === undefined || before.configurable !== true) return;
  let { next } = routed;
  Object.defineProperty(routed, "next", {
    configurable: true,
    enumerable: true,
    get: () => next,
    set(value: unknown) {
      next = value;
      // Another property, or another copy of this package, may be watching too.
      before.set?.call(routed, value);
      fn(value);
    },
  });
}
