/** Servers for one test: a handler behind a framework, closed after the test. */

import type { AddressInfo } from "node:net";
import type { HubOptions, Session } from "@tidewire/core";
import { ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import { onTestFinished } from "vitest";
import { BINDINGS } from "../contracts/bindings.js";
import type { Binding, Handler, Served } from "../contracts/bindings.js";

const [NODE_HTTP] = BINDINGS as [Binding];

/** Serves every path with one handler until the test has ended. */
export async function serve(
  handler: Handler,
  options?: HubOptions,
  binding: Binding = NODE_HTTP,
): Promise<Served> {
  const served = await binding.serve(handler, options);
  onTestFinished(() => served.close());
  return served;
}

/** Same as {@link serve}, with Fastify and a hook that holds back the head of every response. */
export async function serveBehindHook(
  hook: () => Promise<void>,
  handler: (exchange: { readonly sse: Session }) => unknown,
  options: HubOptions = {},
): Promise<Pick<Served, "hub" | "port">> {
  const app = Fastify({ return503OnClosing: false });
  app.addHook("onSend", async () => hook());
  await app.register(ssePlugin, options);
  app.get("/*", async (_request, reply) => {
    await handler(reply);
    return reply;
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => app.close());
  return { hub: app.sse, port: (app.server.address() as AddressInfo).port };
}

/** A gate that callers wait at until it is opened. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Lets promise jobs, sockets and immediates run. */
export async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Calls a function once in each turn until a condition holds. */
export async function repeatUntil(isTrue: () => boolean, fn: () => unknown): Promise<void> {
  while (!isTrue()) {
    fn();
    await turns(1);
  }
}
