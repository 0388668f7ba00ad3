/** Tidewire behind a framework, closed with its test. */

import type { Server } from "node:http";
import type { HubOptions } from "@tidewire/core";
import { onTestFinished } from "vitest";
import { BINDINGS } from "../contracts/bindings.js";
import type { Binding, Handler, Served } from "../contracts/bindings.js";

/** The bindings that a client on `fetch` can reach without TLS. */
export const HTTP1: readonly Binding[] = BINDINGS.filter(({ protocol }) => protocol === "http1");

const [NODE_HTTP] = HTTP1 as [Binding];

/** Serves every path with one handler until the test has ended. */
export async function serve(
  handler: Handler,
  options?: HubOptions,
  binding: Binding = NODE_HTTP,
): Promise<Served & { readonly url: string }> {
  const served = await binding.serve(handler, options);
  onTestFinished(async () => {
    const closed = served.close();
    // `fetch` of Node opens a connection in advance when it has aborted a request, and servers wait for its request.
    (served.server as Server).closeAllConnections();
    await closed;
  });
  return { ...served, url: `http://127.0.0.1:${served.port}/` };
}
