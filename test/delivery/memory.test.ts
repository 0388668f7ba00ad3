/** Which bytes count against `maxBufferedBytes`, and the actual memory of clients, snapshots and short events. */

import type { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createHub, isSseError } from "@tidewire/core";
import type { Hub, HubOptions, Session, SubscribeOptions } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { EventClient } from "./event-client.js";
import { gate, repeatUntil, serve, turns } from "./served.js";

const SLICE = 65_536;
const QUIET: HubOptions = { heartbeatMs: false };

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Memory of JavaScript objects and of buffers, in bytes. */
async function used(): Promise<{ readonly heap: number; readonly buffers: number }> {
  for (let i = 0; i < 3; i++) {
    await turns();
    collect();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers };
}

it("a large snapshot does not count against maxBufferedBytes: a small send behind it is accepted", async () => {
  const reasons: string[] = [];
  const { port } = await serve(async ({ sse }) => {
    sse.onClose((reason) => void reasons.push(reason));
    const snapshot = (): string[] => Array.from({ length: 16 }, () => "s".repeat(500_000));
    if (await sse.subscribe("t", { snapshot })) await sse.send("welcome");
  }, QUIET);
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the welcome", () => client.events.some(({ data }) => data === "welcome"));
  await eventually("the state", () => client.events.length === 17);
  expect(reasons).toEqual([]);
});

it("published events do not count against maxBufferedBytes: a small send behind them is accepted", async () => {
  let session: Session | undefined;
  const { hub, port } = await serve(
    ({ sse }) => {
      session = sse;
      void sse.subscribe("t");
    },
    { ...QUIET, maxBufferedBytes: 20_000 },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.cursors === 1);
  client.pause();
  await repeatUntil(
    () => (session?.bufferedBytes ?? 0) >= 40_000,
    () => hub.publish("t", "x".repeat(60_000)),
  );
  void session?.send("y".repeat(10_000));
  expect(session?.state).toBe("open");
  client.resume();
  await eventually("what was sent", () => client.events.at(-1)?.data[0] === "y");
});

it("bytes that the application sends to a client that does not read count, and cut it beyond maxBufferedBytes", async () => {
  let session: Session | undefined;
  const { port } = await serve(
    ({ sse }) => {
      session = sse;
      sse.open();
    },
    { ...QUIET, maxBufferedBytes: 20_000 },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("the head", () => client.isOpen);
  client.pause();
  await repeatUntil(
    () => session?.bufferedBytes !== 0,
    () => session?.send("x".repeat(1_000_000)),
  );
  for (let i = 0; i < 3; i++) void session?.send("y".repeat(10_000));
  expect(session?.closeReason).toBe("slow");
});

it.each<readonly [string, number, number, SubscribeOptions]>([
  ["small missed events", 1_000, 6_000, {}],
  ["missed events of 1 MB", 1_000_000, 6, {}],
  ["the latest events, of 100 KB each", 100_000, 50, { latest: 50 }],
])("a client that does not read holds one slice of %s", async (_name, size, count, options) => {
  const CLIENTS = 10;
  const sessions: Session[] = [];
  const buffers = new Set<ArrayBufferLike>();
  const { hub, port } = await serve(({ sse, request: { socket } }) => {
    const { write } = socket as Socket;
    (socket as Socket).write = ((...args: Parameters<typeof write>) => {
      const [bytes] = args as unknown as [Uint8Array];
      if (bytes.byteLength > SLICE) buffers.add(bytes.buffer);
      return write.apply(socket as Socket, args);
    }) as typeof write;
    sessions.push(sse);
    void sse.subscribe("t", options);
  }, QUIET);
  const { id } = await hub.publish("t", "first");
  for (let i = 0; i < count; i++) await hub.publish("t", "x".repeat(size));
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () =>
      request({ port, protocol: "http1" }, "/", {
        paused: true,
        headers: options.latest === undefined ? { "last-event-id": id } : {},
      }),
    ),
  );
  await eventually("all to be behind", () =>
    sessions.every(({ bufferedBytes }) => bufferedBytes > 0),
  );
  for (const { bufferedBytes } of sessions) {
    expect(bufferedBytes).toBeLessThan(Math.max(SLICE, size) + 1_000);
  }
  // Frames larger than a slice are not copied per client, except for the one that the stream begins with.
  expect(buffers.size).toBeLessThanOrEqual(count + CLIENTS);
  for (const client of clients) client.cut();
});

it("small events waiting for a client keep no other events published between them alive", async () => {
  const sockets: Socket[] = [];
  const { hub, port } = await serve(
    ({ sse, request: { socket } }) => {
      sockets.push(socket as Socket);
      void sse.subscribe("small");
    },
    { ...QUIET, retention: { maxBytes: 1_000_000 } },
  );
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.cursors === 1);
  client.pause();
  await repeatUntil(
    () => (sockets[0]?.writableLength ?? 0) > 0,
    () => hub.publish("small", "x".repeat(4_000)),
  );
  const filler = "y".repeat(8_000);
  const fill = (count: number): void => {
    for (let n = 0; n < count; n++) void hub.publish("filler", filler);
  };
  fill(200);
  const before = await used();
  for (let n = 0; n < 100; n++) {
    void hub.publish("small", "s");
    await turns(1);
    // More than one slab.
    fill(10);
  }
  expect(hub.stats().sessions.live).toBe(1);
  const after = await used();
  expect(after.buffers - before.buffers).toBeLessThan(1_000_000);
});

it("a snapshot goes out in slices: a client that does not read holds one of them", async () => {
  let session: Session | undefined;
  const { port } = await serve(({ sse }) => {
    session = sse;
    const snapshot = (): string[] => Array.from({ length: 1_000 }, () => "s".repeat(10_000));
    void sse.subscribe("t", { snapshot });
  }, QUIET);
  const client = new EventClient(port, "/");
  client.connect();
  client.pause();
  await eventually("a full socket", () => (session?.bufferedBytes ?? 0) > 0);
  await turns(10);
  expect(session?.bufferedBytes).toBeLessThan(2 * SLICE);
  client.resume();
  await eventually("its position", () => client.cursors === 1);
  expect(client.events).toHaveLength(1_000);
});

it("a loop that publishes without yielding holds no more frames than the window, and its reader gets a reset", async () => {
  const { hub, port } = await serve(({ sse }) => void sse.subscribe("t"), {
    ...QUIET,
    retention: { maxBytes: 2_000_000 },
  });
  const client = new EventClient(port, "/");
  client.connect();
  await eventually("its position", () => client.cursors === 1);
  const before = await used();
  for (let i = 0; i < 80_000; i++) void hub.publish("t", `event ${i} `.padEnd(100, "x"));
  // The second run waits until the remains of the first have been swept.
  collect();
  collect();
  const { arrayBuffers } = process.memoryUsage();
  expect(arrayBuffers - before.buffers).toBeLessThan(8_000_000);
  await eventually("the reset", () => client.resets.length > 0);
  await hub.publish("t", "last");
  await eventually("the last event", () => client.events.at(-1)?.data === "last");
  expect(client.resets).toEqual([{ reason: "overflow", channels: ["t"] }]);
});

it("a channel name sliced from a large text does not keep the text in memory", async () => {
  const hub = createHub({ retention: { maxBytes: 1_000_000 } });
  const before = await used();
  for (let i = 0; i < 40; i++) {
    const body = Buffer.alloc(1_000_000, "x")
      .toString("latin1")
      .replace("xxxx", `order:${i}:abcdefgh\n`);
    await hub.publish(body.split("\n")[0] ?? "", "hello");
  }
  const after = await used();
  expect(after.heap - before.heap).toBeLessThan(10_000_000);
  expect(hub.stats().window.events).toBe(40);
  await hub.close();
});

it.each([
  ["on one channel", () => "one", 150],
  ["on separate channels", (i: number) => `user:${i}`, 200],
  ["on channels with long names", (i: number) => `user:${i}:`.padEnd(256, "n"), 200],
])(
  "short events %s: window.bytes is their memory, apart from bookkeeping",
  async (_name, nameOf, most) => {
    const COUNT = 20_000;
    const hubs: Hub[] = [createHub(), createHub()];
    const fill = async (hub: Hub): Promise<void> => {
      for (let i = 0; i < COUNT; i++) await hub.publish(nameOf(i), "hello");
    };
    await fill(hubs[0]!);
    const before = await used();
    await fill(hubs[1]!);
    const after = await used();
    const { bytes } = hubs[1]!.stats().window;
    const buffers = after.buffers - before.buffers;
    expect(Math.abs(buffers - bytes)).toBeLessThan(0.1 * bytes + 150_000);
    expect((after.heap - before.heap) / COUNT).toBeLessThan(most);
    for (const hub of hubs) await hub.close();
  },
);

it.each([
  ["lie side by side", 1],
  ["lie far apart among those of other channels", 60],
])("a reader that sleeps holds a few KiB, if its events %s", async (_name, distance) => {
  const READERS = 20;
  const hub = createHub({ retention: { maxBytes: 4_194_304 } });
  const publish = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      void hub.publish(i % distance === 0 ? "mine" : "other", "x".repeat(1_000));
      if (i % 1_000 === 0) await turns(1);
    }
  };
  await publish(8_000);
  const before = await used();
  const readings: AsyncIterator<unknown>[] = [];
  for (let i = 0; i < READERS; i++) {
    const after = await hub.position();
    await publish(3_000);
    const reading = hub.read("mine", { after });
    expect((await reading.next()).value).toMatchObject({ type: "event" });
    readings.push(reading);
  }
  await publish(8_000);
  const after = await used();
  const bytes = after.heap - before.heap + after.buffers - before.buffers;
  expect(bytes / READERS).toBeLessThan(20_000);
  await hub.close();
});

it("readers without a call of next are not kept", async () => {
  const hub = createHub();
  const { signal } = new AbortController();
  const READERS = 50_000;
  const before = await used();
  for (let i = 0; i < READERS; i++) hub.read("news", { signal });
  const after = await used();
  // One that is kept takes more than a kilobyte. The heap varies by half a megabyte by itself.
  expect((after.heap - before.heap) / READERS).toBeLessThan(100);
  await hub.close();
});

it("a snapshot message above maxEventBytes is reported with its channels and size, ends the stream and makes the client wait before it reconnects", async () => {
  const errors: unknown[] = [];
  const reasons: string[] = [];
  const { opened, open } = gate();
  const { port } = await serve(
    ({ sse }) => {
      sse.onClose((reason) => {
        reasons.push(reason);
        open();
      });
      void sse.subscribe(["table", "chart"], { snapshot: () => ["small", "x".repeat(2_000)] });
    },
    { ...QUIET, maxEventBytes: 1_000, onError: (error) => errors.push(error) },
  );
  const client = await request({ port, protocol: "http1" }, "/");
  const text = await client.rest();
  await opened;
  expect(reasons).toEqual(["error"]);
  expect(errors).toHaveLength(1);
  const [error] = errors;
  expect(isSseError(error) && error.code).toBe("ERR_SSE_INVALID_DATA");
  expect(String(error)).toContain('"table"');
  expect(String(error)).toContain('"chart"');
  expect(String(error)).toContain("2008");
  // The last reconnection time counts.
  expect(
    Number(
      text
        .match(/^retry: (\d+)$/gm)
        ?.at(-1)
        ?.slice(7),
    ),
  ).toBeGreaterThanOrEqual(5_000);
  client.release();
});
