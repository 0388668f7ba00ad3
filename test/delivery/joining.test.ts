/** Channels that join or leave a stream while it waits: for a snapshot, its socket, its head or a reset. */

import type { Hub, HubOptions, Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { BINDINGS } from "../contracts/bindings.js";
import { eventually, request } from "../client.js";
import { EventClient } from "./event-client.js";
import { gate, repeatUntil, serve, serveBehindHook, turns } from "./served.js";

/** A waiting stream that is subscribed to `first`. */
interface Held {
  readonly hub: Hub;
  readonly session: Session;
  readonly client: EventClient;
  /** Ends the wait. */
  release(): void;
}

const QUIET: HubOptions = { heartbeatMs: false };

function subscribeFirst(session: Session): void {
  void session.subscribe("first");
}

async function heldBySnapshot(): Promise<Held> {
  const { opened, open } = gate();
  return begin((session) => {
    void session.subscribe("first", { snapshot: () => opened.then(() => ["state of first"]) });
  }, open);
}

async function heldByCors(handler = subscribeFirst, lastEventId = ""): Promise<Held> {
  const { opened, open } = gate();
  return begin(handler, open, {
    lastEventId,
    cors: {
      origin: (_origin, allow) => {
        void opened.then(() => allow(null, true));
      },
    },
  });
}

async function heldByHook(handler = subscribeFirst): Promise<Held> {
  const { opened, open } = gate();
  let session: Session | undefined;
  const { hub, port } = await serveBehindHook(
    () => opened,
    (exchange) => {
      session = exchange.sse;
      handler(session);
    },
    QUIET,
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the handler", () => session !== undefined);
  return { hub, session: session!, client, release: open };
}

async function heldBySocket(options: HubOptions = {}): Promise<Held> {
  const held = await begin(subscribeFirst, () => held.client.resume(), options);
  await eventually("its position", () => held.client.lastEventId !== "");
  held.client.pause();
  await repeatUntil(
    () => held.session.bufferedBytes > 0,
    () => held.hub.publish("first", "x".repeat(60_000)),
  );
  return held;
}

async function begin(
  handler: (session: Session) => void,
  release: () => void,
  { lastEventId = "", ...options }: HubOptions & { readonly lastEventId?: string } = {},
): Promise<Held> {
  let session: Session | undefined;
  const { hub, port } = await serve(
    ({ sse }) => {
      session = sse;
      handler(sse);
    },
    { ...QUIET, ...options },
  );
  const client = new EventClient(port, "/");
  client.lastEventId = lastEventId;
  client.connect();
  await eventually("the handler", () => session !== undefined);
  return { hub, session: session!, client, release };
}

/** Data of received events, without the data that fills the socket. */
function received({ client }: Held): string[] {
  return client.events.map(({ data }) => data).filter((data) => data.length < 100);
}

const HOLDS: readonly (readonly [string, () => Promise<Held>])[] = [
  ["the snapshot of another channel", heldBySnapshot],
  ["its socket", heldBySocket],
  ["an asynchronous CORS origin", heldByCors],
  ["an onSend hook of Fastify", heldByHook],
];

it.each(HOLDS)(
  "a channel that joins a stream waiting for %s gets everything published after the call",
  async (_name, hold) => {
    for (const options of [{}, { latest: 1 }]) {
      const held = await hold();
      const { hub, session, client, release } = held;
      await hub.publish("joined", "before");
      expect(await session.subscribe("joined", options)).toBe(true);
      for (let i = 1; i <= 5; i++) await hub.publish("joined", `after ${i}`);
      release();
      await turns();
      await hub.publish("joined", "last");
      await eventually("the last event", () => received(held).includes("last"));
      const ofJoined = received(held).filter((data) => data !== "state of first");
      const latest = options.latest === undefined ? [] : ["before"];
      const after = [1, 2, 3, 4, 5].map((i) => `after ${i}`);
      expect(ofJoined).toEqual([...latest, ...after, "last"]);
      expect(client.resets).toEqual([]);
    }
  },
);

it.each(HOLDS)(
  "a channel that joins with a snapshot a stream waiting for %s misses nothing that the snapshot lacks",
  async (_name, hold) => {
    const held = await hold();
    const { hub, session, client, release } = held;
    let published = 0;
    const publish = (): Promise<unknown> => hub.publish("joined", String(++published));
    const snapshot = (): string[] => [`state ${published}`];
    expect(await session.subscribe("joined", { snapshot })).toBe(true);
    for (let i = 0; i < 5; i++) await publish();
    release();
    for (let i = 0; i < 5; i++) await publish();
    await eventually("all of it", () => /^(state )?10$/.test(received(held).at(-1) ?? ""));
    const ofJoined = received(held).filter((data) => data !== "state of first");
    const taken = Number(/^state (\d+)$/.exec(ofJoined[0] ?? "")?.[1]);
    const rest = Array.from({ length: 10 - taken }, (_, i) => String(taken + i + 1));
    expect(ofJoined).toEqual([`state ${taken}`, ...rest]);
    expect(client.resets).toEqual([]);
  },
);

it.each([
  ["an asynchronous CORS origin", heldByCors],
  ["an onSend hook of Fastify", heldByHook],
])(
  "a second call without a snapshot loses nothing to the snapshot of the first while the head waits for %s",
  async (_name, hold) => {
    let state = 0;
    const held = await hold((session) => {
      void session.subscribe("table", { snapshot: () => [`table ${state}`] });
      void session.subscribe("plain");
    });
    const { hub, release } = held;
    for (let i = 1; i <= 3; i++) {
      await hub.publish("plain", `plain ${i}`);
      await hub.publish("table", `change ${++state}`);
    }
    release();
    await eventually("the state", () => received(held).includes("table 3"));
    await hub.publish("plain", "plain 4");
    await hub.publish("table", "change 4");
    await eventually("the last event", () => received(held).includes("change 4"));
    const plain = received(held).filter((data) => data.startsWith("plain"));
    expect(plain).toEqual(["plain 1", "plain 2", "plain 3", "plain 4"]);
    expect(received(held).filter((data) => data.startsWith("change"))).toEqual(["change 4"]);
  },
);

it("a channel that joins while a reset waits for the socket is named in it and then live", async () => {
  const held = await heldBySocket({ retention: { maxEvents: 5 } });
  const { hub, session, client, release } = held;
  for (let i = 0; i < 10; i++) await hub.publish("first", "y".repeat(60_000));
  expect(await session.subscribe("joined")).toBe(true);
  for (let i = 1; i <= 3; i++) await hub.publish("joined", `joined ${i}`);
  release();
  await eventually("the reset", () => client.resets.length > 0);
  await turns();
  await hub.publish("joined", "last");
  await eventually("the last event", () => received(held).includes("last"));
  expect(client.resets).toEqual([{ reason: "overflow", channels: ["first", "joined"] }]);
});

it("a channel that joins while a reset waits for the head gets everything published after the call", async () => {
  const held = await heldByCors(subscribeFirst, "gone.7");
  const { hub, session, client, release } = held;
  await turns();
  expect(await session.subscribe("joined", { latest: 3 })).toBe(true);
  for (let i = 1; i <= 3; i++) await hub.publish("joined", `joined ${i}`);
  release();
  await turns();
  await hub.publish("joined", "last");
  await eventually("the last event", () => received(held).includes("last"));
  expect(client.resets).toEqual([{ reason: "unknown", channels: ["first", "joined"] }]);
  expect(received(held)).toEqual(["joined 1", "joined 2", "joined 3", "last"]);
});

it("a channel that joins while a reset waits for a snapshot gets everything published after the call", async () => {
  let held = gate();
  let session: Session | undefined;
  const { hub, port } = await serve(({ sse }) => {
    session = sse;
    void sse.subscribe("first", { snapshot: () => held.opened.then(() => ["state of first"]) });
  }, QUIET);
  const client = new EventClient(port, "/");
  client.lastEventId = "gone.7";
  client.connect();
  await eventually("the reset", () => client.resets.length === 1);
  expect(await session?.subscribe("joined", { latest: 3 })).toBe(true);
  for (let i = 1; i <= 3; i++) await hub.publish("joined", `joined ${i}`);
  held.open();
  await eventually("the position", () => client.cursors === 1);
  held = gate();
  await hub.publish("joined", "last");
  await eventually("the last event", () => client.events.at(-1)?.data === "last");
  const datas = client.events.map(({ data }) => data);
  expect(datas).toEqual(["state of first", "joined 1", "joined 2", "joined 3", "last"]);
});

const ANSWERS: readonly (readonly [string, HubOptions])[] = [
  ["there is no authorize", {}],
  ["authorize answers at once", { authorize: () => true }],
  [
    "authorize answers later, the first channel last",
    {
      authorize: async (channel) => {
        await turns(channel === "a" ? 10 : 5);
        return true;
      },
    },
  ],
];

it.each(
  BINDINGS.flatMap((binding) =>
    ANSWERS.map((answer) => [binding.name, ...answer, binding] as const),
  ),
)(
  "%s: a reset names the channels of all calls of the turn when %s",
  async (_binding, _name, options, binding) => {
    const { port, protocol } = await serve(
      ({ sse }) => {
        void sse.subscribe("a");
        void sse.subscribe("b");
      },
      { ...QUIET, ...options },
      binding,
    );
    const headers = { "last-event-id": "gone.7" };
    const client = await request({ port, protocol }, "/", { headers });
    const text = await client.until(/event: sse-reset\n(?:.+\n)+\n/);
    expect(channelsOfReset(text)).toEqual(["a", "b"]);
    expect(text.match(/event: sse-reset/g)).toHaveLength(1);
    client.cut();
  },
);

function channelsOfReset(text: string): string[] {
  const data = /^event: sse-reset\n(?:id:.*\n)?(?:retry:.*\n)?data: (.*)$/m.exec(text)?.[1] ?? "{}";
  return (JSON.parse(data) as { channels: string[] }).channels.toSorted();
}

it("a position that is trimmed only for the second channel of a turn leads to a reset", async () => {
  const { hub, port } = await serve(
    ({ sse }) => {
      void sse.subscribe("a");
      void sse.subscribe("b");
    },
    { ...QUIET, retention: { maxEvents: 2 } },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.lastEventId !== "");
  client.cut("fin");
  for (let i = 0; i < 3; i++) await hub.publish("b", String(i));
  client.connect();
  await eventually("the reset", () => client.resets.length === 1);
  expect(client.resets).toEqual([{ reason: "trimmed", channels: ["a", "b"] }]);
});

it.each([
  ["is written", {}],
  ["is written of its latest events", { latest: 5 }],
  ["is written of its snapshot", { snapshot: () => ["state of secret"] }],
])(
  "after a channel was left, nothing %s, whatever the stream waits for",
  async (_name, options) => {
    for (const [, hold] of HOLDS) {
      const held = await hold();
      const { hub, session, release } = held;
      await hub.publish("secret", "before");
      await session.subscribe("secret", options);
      await hub.publish("secret", "between");
      session.unsubscribe("secret");
      await hub.publish("secret", "after");
      release();
      await turns();
      await hub.publish("first", "last");
      await eventually("the last event", () => received(held).includes("last"));
      const ofFirst = ["state of first", "last"];
      expect(received(held).filter((data) => !ofFirst.includes(data))).toEqual([]);
    }
  },
);

it("the snapshot of a channel that was left while others are pending is not called", async () => {
  const { session, release, client } = await heldBySnapshot();
  let calls = 0;
  const snapshot = (): string[] => [`call ${++calls}`];
  await session.subscribe("secret", { snapshot });
  session.unsubscribe("secret");
  release();
  await eventually("the position", () => client.lastEventId !== "");
  expect(calls).toBe(0);
});

it("unsubscribe() cancels a subscribe() that waits for authorize", async () => {
  const { opened, open } = gate();
  let joining: Promise<boolean> | undefined;
  const { hub, port } = await serve(
    ({ sse }) => {
      void sse.subscribe("open");
      joining = sse.subscribe("secret");
      sse.unsubscribe("secret");
    },
    { ...QUIET, authorize: (channel) => channel === "open" || opened.then(() => true) },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.lastEventId !== "");
  expect(await joining).toBe(false);
  open();
  await turns();
  expect(hub.channel("secret").subscriptionCount).toBe(0);
});

it("complete() sends earlier events even if authorize has not answered yet", async () => {
  const { hub, port } = await serve(
    ({ sse }) => {
      void sse.subscribe("job");
      void sse.complete();
    },
    {
      ...QUIET,
      authorize: async () => {
        await turns();
        return true;
      },
    },
  );
  const { id } = await hub.publish("job", "had");
  for (let i = 1; i <= 3; i++) await hub.publish("job", `step ${i}`);
  const client = new EventClient(port, "/");
  client.lastEventId = id;
  client.connect();
  await eventually("the end", () => client.lastEventId === "~end");
  const steps = client.events.filter(({ event }) => event === undefined);
  expect(steps.map(({ data }) => data)).toEqual(["step 1", "step 2", "step 3"]);
});

it("holds up no stream for a call of a later turn, once the calls of its first turn were cancelled", async () => {
  let session: Session | undefined;
  const { hub, port } = await serve(({ sse }) => void (session = sse), {
    authorize: (channel) => (channel === "open" ? true : new Promise<boolean>(() => {})),
  });
  const client = new EventClient(port, "/");
  client.lastEventId = (await hub.publish("open", "before")).id;
  client.connect();
  await eventually("the request", () => session !== undefined);
  void session?.subscribe("first");
  await turns();
  void session?.subscribe("later");
  session?.unsubscribe("first");
  await turns();
  void session?.subscribe("open");
  await hub.publish("open", "after");
  await eventually("the event", () => client.events.length > 0);
  expect(client.events.map(({ data }) => data)).toEqual(["after"]);
});
