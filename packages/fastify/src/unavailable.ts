/** Fastify's own 503 while it closes, and why it is not for event streams. */

import type { FastifyInstance } from "fastify";

/** Servers whose log has the warning. */
const WARNED: WeakSet<object> = new WeakSet();

/**
 * Warns, once per server, if Fastify answers requests with 503 while it closes: one such answer makes `EventSource` give
 * up for ever. No hook comes before it.
 *
 * @param app - The instance. Its options are not public; if they cannot be found there is no warning.
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

/** As Fastify reads it: only where the option is absent it is on. An explicit `undefined` turns it off. */
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
