import type { HeaderTarget } from "../src/http/head.js";

type Value = number | string | string[];

/**
 * A response's headers without a response. Names may have any case, as in `node:http`.
 */
export class MemoryHeaders implements HeaderTarget {
  readonly #values: Map<string, Value> = new Map();

  constructor(values: Readonly<Record<string, Value>> = {}) {
    for (const [name, value] of Object.entries(values)) this.#values.set(name.toLowerCase(), value);
  }

  getHeader(name: string): Value | undefined {
    return this.#values.get(name.toLowerCase());
  }

  setHeader(name: string, value: string | string[]): void {
    this.#values.set(name.toLowerCase(), value);
  }

  removeHeader(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  /** All headers, with names in lower case. */
  all(): Record<string, Value> {
    return Object.fromEntries(this.#values);
  }
}
