/** `hub.close()` and `fastify.close()` finish in time, whatever callbacks and the log do. */

import { memoryLog } from "@tidewire/core";
import type { HubOptions, Log, Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { BINDINGS } from "../contracts/bindings.js";
import type { Binding } from "../contracts/bindings.js";
import { EventClient } from "./event-client.js";
import { serve, serveBehindHook } from "./served.js";

const FRAMEWORKS = BINDINGS.filter(({ name }) => /^(node:http|Express 5|Fastify 5)$/.test(name));

function never<T>(): Promise<T> {
  return new Promise(() => {});
}

function hangingLog(): Log {
  const inner = memoryLog();
  return {
    start: (follower) => inner.start(follower),
    append: (...args) => inner.append(...args),
    compare: (a, b) => inner.compare(a, b),
    health: () => inner.health(),
    close: () => never(),
  };
}

const HANGS: readonly (readonly [string, () => HubOptions, (session: Session) => unknown])[] = [
  ["authorize", () => ({ authorize: () => never() }), (sse) => sse.subscribe("t")],
  ["a CORS origin", () => ({ cors: { origin: () => {} } }), (sse) => sse.subscribe("t")],
  ["a snapshot", () => ({}), (sse) => sse.subscribe("t", { snapshot: () => never() })],
  [
    "a source",
    () => ({}),
    (sse) =>
      sse.stream(
        (async function* () {
          yield await never<string>();
        })(),
      ),
  ],
  ["the log", () => ({ log: hangingLog() }), (sse) => sse.subscribe("t")],
];

it.each(
  FRAMEWORKS.flatMap((binding) => HANGS.map((hang) => [binding.name, ...hang, binding] as const)),
)(
  "%s: close() finishes in time and aborts the signal even if %s hangs",
  async (_framework, _name, options, handler, binding: Binding) => {
    let session: Session | undefined;
    let signal: AbortSignal | undefined;
    const served = await serve(
      ({ sse }) => {
        session = sse;
        ({ signal } = sse);
        void handler(sse);
      },
      options(),
      binding,
    );
    const client = new EventClient(served.port, "/");
    client.connect();
    await eventually("the handler", () => session !== undefined);
    await within("close()", served.close(), 2_000);
    expect(session?.closeReason).toBe("shutdown");
    expect(signal?.aborted).toBe(true);
    expect(served.hub.stats().sessions).toEqual({ connecting: 0, open: 0, live: 0, behind: 0 });
  },
);

it("Fastify: close() finishes in time even if an onSend hook hangs", async () => {
  let session: Session | undefined;
  const { hub, port } = await serveBehindHook(
    () => never(),
    ({ sse }) => {
      session = sse;
      void sse.subscribe("t");
    },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the handler", () => session !== undefined);
  await within("close()", hub.close(), 2_000);
  expect(session?.closeReason).toBe("shutdown");
});

it("close({ drainMs }) answers requests that wait for authorize before the drain has ended", async () => {
  let isAsked = false;
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("t"), {
    authorize: () => {
      isAsked = true;
      return never();
    },
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the question", () => isAsked);
  const closing = hub.close({ drainMs: 1_000 });
  await eventually("an answer", () => client.statuses.length === 1, 900);
  expect(client.statuses).toEqual(["HTTP/1.1 200 OK"]);
  await closing;
});

it.each([
  ["hub.close()", 0],
  ["hub.close({ drainMs })", 500],
] as const)(
  "%s does not end a stream before an event whose publish has resolved",
  async (_name, drainMs) => {
    const { hub, port } = await serve(({ sse }) => void sse.subscribe("t"));
    const clients = Array.from({ length: 5 }, () => new EventClient(port, "/"));
    for (const client of clients) client.connect();
    await eventually("all streams", () => clients.every(({ cursors }) => cursors === 1));
    await hub.publish("t", "goodbye");
    await hub.close({ drainMs });
    await eventually("all ends", () => clients.every(({ isOpen }) => !isOpen));
    expect(clients.map(({ events }) => events.map(({ data }) => data))).toEqual(
      clients.map(() => ["goodbye"]),
    );
  },
);

it("session.close() ends the stream after an event whose publish has resolved", async () => {
  let session: Session | undefined;
  const { hub, port } = await serve(({ sse }) => {
    session = sse;
    void sse.subscribe("t");
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the stream", () => client.cursors === 1);
  await hub.publish("t", "goodbye");
  session?.close();
  await eventually("the end", () => !client.isOpen);
  expect(client.events.map(({ data }) => data)).toEqual(["goodbye"]);
});
