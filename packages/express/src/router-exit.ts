/** Tells when a request goes from one router of Express to another. */

/** A request while Express handles it: `next` is that of the router it is in, and goes back to what it was behind that. */
interface Routed {
  next?: unknown;
}

/**
 * Calls a function whenever a request enters a router or leaves one.
 *
 * Nothing of Express says so but this: a router sets `request.next` when it begins, and sets it back when it is done, also
 * in an application that is mounted in another. Where there is no such property the function is not called.
 *
 * @param request - A request that is in a router now.
 * @param fn - Given the new value of `request.next`.
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
      // Somebody else may watch, too: for another property, or as another copy of this package.
      before.set?.call(routed, value);
      fn(value);
    },
  });
}
