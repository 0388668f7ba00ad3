/** Warns about Fastify's own 503 while it closes, which makes event streams give up. */

import type { FastifyInstance } from "fastify";

/** Servers that have been warned about. */
const WARNED: WeakSet<object> = new WeakSet();

/**
 * Warns, once per server, if Fastify answers requests with 503 while it closes: a single such answer makes
 * `EventSource` give up for good. No hook runs before it.
 *
 * @param app - The instance. Its options are not public; without access to them there is no warning.
 * @param decorator - Name of the hub on the instance.
 */
export function warnOfUnavailable(app: FastifyInstance, decorator: string): void {
  const options = optionsOf(app);
  if (options === undefined || !answers503(options)) return;
  if (WARNED.has(app.server)) return;
  WARNED.add(app.server);
  app.log.warn(
    "While it closes, Fastify answers every request with 503, after which EventSource does not come back. " +
      "Create Fastify with `return503OnClosing: false`, " +
      `or await \`fastify.${decorator}.close({ drainMs })\` before \`fastify.close()\``,
  );
}

/** Same rule as Fastify's: on unless the option is present. An explicit `undefined` turns it off. */
function answers503(options: Record<string, unknown>): boolean {
  return !Object.hasOwn(options, "return503OnClosing") || Boolean(options["return503OnClosing"]);
}

function optionsOf(app: FastifyInstance): Record<string, unknown> | undefined {
  for (let scope: object | null = app; scope !== null; scope = Reflect.getPrototypeOf(scope)) {
    const name = Object.getOwnPropertySymbols(scope).find(
      ({ description }) => description === "fastify.options",
    );
    if (name !== undefined) return Reflect.get(scope, name) as Record<string, unknown>;
  }
  return undefined;
}
