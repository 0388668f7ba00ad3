/** The property of a response that its session is read from: `res.sse`, or what the option `property` says. */

import { ServerResponse } from "node:http";
import { SseError } from "@tidewire/core";
import type { ExpressExchange } from "./express-exchange.js";
import { watchRouters } from "./router-exit.js";

/** A response that some `sse()` has seen, by the slot of each property. */
type BoundResponse = Partial<Record<symbol, ExpressExchange>>;

/** How sessions get on responses under one name. */
export class SessionProperty {
  readonly name: string;
  readonly #slot: symbol;
  readonly #descriptor: PropertyDescriptor;

  constructor(name: string) {
    const slot = Symbol(`tidewire.${name}`);
    this.name = name;
    this.#slot = slot;
    // One pair of functions for all responses, so that they keep one hidden class.
    this.#descriptor = {
      configurable: true,
      get(this: BoundResponse) {
        return this[slot]?.session;
      },
      // An ordinary property, for a middleware further on that has something of that name, too.
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

  /** @returns What the last `sse()` on the way has left on a response. */
  exchangeOf(response: object): ExpressExchange | undefined {
    return (response as BoundResponse)[this.#slot];
  }

  /**
   * Has a response read its session from an exchange, whatever had the name before.
   *
   * On the response itself: each application that it passes through may give it another prototype, and a later version of
   * Express, or another copy of this package, may have the name there.
   *
   * @throws {SseError} `ERR_SSE_INVALID_OPTION` if somebody has defined the property for good.
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

  /** Behind a router what its `sse()` has left gives way to what was there before, as if the router had not been. */
  #routerChanged(response: BoundResponse, next: unknown): void {
    let exchange = response[this.#slot];
    // Unless it answers already: then whoever handles its errors is to find it.
    if (exchange === undefined || exchange.isInUse) return;
    while (exchange !== undefined && exchange.next !== next) exchange = exchange.outer;
    // Otherwise the request has entered a router further inside.
    if (exchange !== undefined) response[this.#slot] = exchange;
  }
}

/** Those there are: the same name has the same slot, in whichever `sse()`. */
const PROPERTIES = new Map<string, SessionProperty>();

/**
 * Finds the property of a name.
 *
 * @param name - What the caller gave: anything. `undefined` is `sse`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is no string, or every response of Node has that property.
 */
export function propertyOf(name: unknown = "sse"): SessionProperty {
  if (typeof name !== "string" || name === "" || name in ServerResponse.prototype) {
    const given = typeof name === "string" ? JSON.stringify(name) : typeof name;
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected \`property\` to be a name that responses of Node do not have, got ${given}`,
    );
  }
  let property = PROPERTIES.get(name);
  if (property === undefined) PROPERTIES.set(name, (property = new SessionProperty(name)));
  return property;
}
