/** The response property from which a session is read: `res.sse`, or the name given by the option `property`. */

import { ServerResponse } from "node:http";
import { SseError } from "@tidewire/core";
import type { ExpressExchange } from "./express-exchange.js";
import { watchRouters } from "./router-exit.js";

/** A response that has passed an `sse()`: its exchange by the slot of each property. */
type BoundResponse = Partial<Record<symbol, ExpressExchange>>;

/** Puts sessions on responses under one name. */
export class SessionProperty {
  readonly name: string;
  readonly #slot: symbol;
  readonly #descriptor: PropertyDescriptor;

  constructor(name: string) {
    const slot = Symbol(`tidewire.${name}`);
    this.name = name;
    this.#slot = slot;
    // One accessor pair for all responses, so that they keep one hidden class.
    this.#descriptor = {
      configurable: true,
      get(this: BoundResponse) {
        return this[slot]?.session;
      },
      // Becomes an ordinary property, for a later middleware with a property of that name.
      set(this: object, value: unknown) {
        Object.defineProperty(this, name, {
          configurable: true,
          enumerable: true,
          writable: true,
          value,
        });
      },
    };
  }

  /** @returns The exchange that the last `sse()` has put on a response. */
  exchangeOf(response: object): ExpressExchange | undefined {
    return (response as BoundResponse)[this.#slot];
  }

  /**
   * Makes a response read its session from an exchange, replacing any earlier property of that name.
   *
   * Defined on the response itself: each application that it passes through may change its prototype, and a later
   * version of Express or another copy of this package may define the name there.
   *
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the property exists and is not configurable.
   */
  bind(response: object, exchange: ExpressExchange): void {
    if (!Reflect.defineProperty(response, this.name, this.#descriptor)) {
      throw new SseError(
        "ERR_SSE_INVALID_OPTION",
        `Expected \`res.${this.name}\` to be free, but it cannot be replaced: choose another \`property\``,
      );
    }
    if (this.exchangeOf(response) === exchange) return;
    (response as BoundResponse)[this.#slot] = exchange;
    if (exchange.outer === undefined || exchange.outer.next === exchange.next) return;
    watchRouters(exchange.request, (next) => this.#routerChanged(response, next));
  }

  /** When the request leaves a router, restores the exchange from before that router's `sse()`. */
  #routerChanged(response: BoundResponse, next: unknown): void {
    let exchange = response[this.#slot];
    // Unless the session is answering already: error handlers further out need to find it.
    if (exchange === undefined || exchange.isInUse) return;
    while (exchange !== undefined && exchange.next !== next) exchange = exchange.outer;
    // Otherwise the request has entered an inner router.
    if (exchange !== undefined) response[this.#slot] = exchange;
  }
}

/** All properties so far: the same name has the same slot, whichever `sse()` uses it. */
const PROPERTIES = new Map<string, SessionProperty>();

/**
 * Returns the property for a name.
 *
 * @param name - Value of the option: anything. `undefined` means `sse`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is not a string, or if every Node response has that property.
 */
export function propertyOf(name: unknown = "sse"): SessionProperty {
  if (typeof name !== "string" || name === "" || name in ServerResponse.prototype) {
    const given = typeof name === "string" ? JSON.stringify(name) : typeof name;
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected \`property\` to be a name that Node responses do not have, got ${given}`,
    );
  }
  let property = PROPERTIES.get(name);
  if (property === undefined) PROPERTIES.set(name, (property = new SessionProperty(name)));
  return property;
}
