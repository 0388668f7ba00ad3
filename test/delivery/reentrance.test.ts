/** Application callbacks that call the session, close it, or fail in unusual ways. */

import { createHook } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Session, SubscribeOptions } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { EventClient } from "./event-client.js";
import { gate, repeatUntil, serve, turns } from "./served.js";

const COMPLETES: readonly (readonly [
  string,
  (session: Session) => SubscribeOptions["snapshot"],
])[] = [
  [
    "that calls complete()",
    (session) => () => {
      void session.complete();
      return ["state"];
    },
  ],
  [
    "that calls complete() before it waits",
    (session) => async () => {
      void session.complete();
      await turns();
      return ["state"];
    },
  ],
  [
    "that is a generator which calls complete()",
    (session) =>
      function* () {
        void session.complete();
        yield "state";
      },
  ],
  [
    "whose data calls complete() when it is serialized",
    (session) => () => [
      {
        data: {
          toJSON: () => {
            void session.complete();
            return "state";
          },
        },
      },
    ],
  ],
];

it.each(COMPLETES)(
  "a snapshot %s is sent once, then the stream is complete",
  async (_name, make) => {
    let calls = 0;
    const { port } = await serve(({ sse }) => {
      const take = make(sse)!;
      void sse.subscribe("t", {
        snapshot: () => {
          calls += 1;
          return take();
        },
      });
    });
    const client = new EventClient(port, "/");
    client.connect();
    await eventually("the end", () => client.lastEventId === "~end");
    expect(client.events.map(({ event, data }) => event ?? data.replaceAll('"', ""))).toEqual([
      "state",
      "sse-complete",
    ]);
    expect(calls).toBe(1);
  },
);

const SYNCHRONOUS: readonly (readonly [
  string,
  (session: Session) => NonNullable<SubscribeOptions["snapshot"]>,
])[] = [
  [
    "that subscribes to another channel",
    (session) => () => {
      void session.subscribe(`other:${Math.random()}`);
      return ["state"];
    },
  ],
  [
    "that is a thenable which answers at once, and twice",
    () => () =>
      ({
        // oxlint-disable-next-line unicorn/no-thenable -- some query builders are thenables
        then: (answer: (messages: string[]) => void) => {
          answer(["state"]);
          answer(["again"]);
        },
      }) as PromiseLike<string[]>,
  ],
];

it.each(SYNCHRONOUS)(
  "the state of a snapshot %s comes after its reset and before the position",
  async (_name, make) => {
    let calls = 0;
    const { hub, port } = await serve(({ sse }) => {
      const take = make(sse);
      void sse.subscribe("t", {
        snapshot: () => {
          calls += 1;
          return take();
        },
      });
    });
    const client = await request({ port, protocol: "http1" }, "/", {
      headers: { "last-event-id": "gone.7" },
    });
    await client.until("event: sse-cursor");
    await hub.publish("t", "live");
    const text = await client.until("data: live\n");
    const order = text.match(
      /event: sse-reset|data: state|data: again|event: sse-cursor|data: live/g,
    );
    expect(order).toEqual(["event: sse-reset", "data: state", "event: sse-cursor", "data: live"]);
    expect(calls).toBe(1);
    client.cut();
  },
);

it("authorize that closes the session and then rejects does not end the process, and onError is called", async () => {
  const errors: unknown[] = [];
  const fault = new Error("refused");
  const { port } = await serve(({ sse }) => void sse.subscribe(["a", "b"]), {
    authorize: async (_channel, session) => {
      (session as Session).close();
      throw fault;
    },
    onError: (error) => errors.push(error),
  });
  const client = await request({ port, protocol: "http1" }, "/");
  await client.rest();
  await turns();
  expect(errors).toEqual([fault]);
  client.release();
});

it("one stream on 12 000 channels gets one event of each, all published in one turn", async () => {
  const names = Array.from({ length: 12_000 }, (_, i) => `symbol:${i}`);
  const { hub, port } = await serve(({ sse }) => void sse.subscribe(names), { heartbeatMs: false });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.cursors === 1);
  for (const name of names) void hub.publish(name, name);
  await eventually("all", () => client.events.length === names.length);
  expect(client.events.map(({ data }) => data)).toEqual(names);
  expect(client.resets).toEqual([]);
});

it("a snapshot taken after the window has passed its channel does not lead to a reset", async () => {
  const { opened, open } = gate();
  let published = 0;
  const { hub, port } = await serve(
    ({ sse }) => void sse.subscribe("t", { snapshot: () => [`state ${published}`] }),
    {
      heartbeatMs: false,
      retention: { maxEvents: 5 },
      cors: {
        origin: (_origin, allow) => {
          void opened.then(() => allow(null, true));
        },
      },
    },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await turns(20);
  for (; published < 20; published++) await hub.publish("t", String(published + 1));
  open();
  await eventually("its position", () => client.cursors === 1);
  expect(client.events.map(({ data }) => data)).toEqual(["state 20"]);
  expect(client.resets).toEqual([]);
});

it("a channel that was left does not cause a reset, and a quiet one joined since loses nothing", async () => {
  let session: Session | undefined;
  const { hub, port } = await serve(
    ({ sse }) => {
      session = sse;
      void sse.subscribe("busy");
    },
    { heartbeatMs: false, retention: { maxEvents: 50 } },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.cursors === 1);
  client.pause();
  await repeatUntil(
    () => session?.bufferedBytes !== 0,
    () => hub.publish("busy", "x".repeat(60_000)),
  );
  for (let i = 0; i < 100; i++) await hub.publish("busy", "x".repeat(60_000));
  session?.unsubscribe("busy");
  await session?.subscribe("quiet");
  for (let i = 0; i < 100; i++) await hub.publish("other", String(i));
  await hub.publish("quiet", "hello");
  client.resume();
  await eventually("the event", () => client.events.at(-1)?.data === "hello");
  expect(client.resets).toEqual([]);
});

it("the async resource of a callback is destroyed with its session, as async hooks can observe", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const alive = new Set<number>();
  const hook = createHook({
    init: (id, type) => {
      if (type.startsWith("Tidewire")) alive.add(id);
    },
    destroy: (id) => void alive.delete(id),
  }).enable();
  const COUNT = 30;
  let closed = 0;
  const { port } = await serve(({ sse }) => {
    sse.onClose(() => (closed += 1));
    sse.signal.addEventListener("abort", () => {});
    void sse.subscribe("t", { snapshot: () => ["state"] });
  });
  for (let i = 0; i < COUNT; i++) {
    const client = await request({ port, protocol: "http1" }, "/");
    await client.until("state");
    client.cut();
  }
  await eventually("all to be closed", () => closed === COUNT);
  const count = (): number => {
    collect();
    return alive.size;
  };
  await eventually("the resources to go", () => count() <= 3);
  hook.disable();
});
