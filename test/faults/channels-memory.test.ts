import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import { ChannelServer } from "./channels-child.js";
import { Tally, connectAll } from "./channels-tally.js";

const MIB = 1024 * 1024;
const SESSIONS = 60;
const EVENT_BYTES = 500_000;

let server: ChannelServer;

afterEach(() => server.kill());

it("entries dropped by the window are freed, even while sessions that got them are idle", async () => {
  server = await ChannelServer.start("http", { retention: { maxBytes: MIB } });
  const clients = Array.from(
    { length: SESSIONS },
    (_, i) => new EventClient(server.port, `/?channels=user-${i}`),
  );
  const tallies = clients.map((client) => new Tally(client));
  await connectAll(clients);
  const before = await server.settle();
  // One event for each session, each in its own tick, then silence.
  const channels = Array.from({ length: SESSIONS }, (_, i) => `user-${i}`);
  await server.publish({ channels, count: SESSIONS, perSecond: 50, bytes: EVENT_BYTES });
  await eventually("all to have their event", () =>
    tallies.every(({ numbers }) => numbers.length === 1),
  );
  const after = await server.settle();
  const held = (after.arrayBuffers - before.arrayBuffers) / MIB;
  console.log(
    `${((SESSIONS * EVENT_BYTES) / MIB).toFixed(0)} MiB published, ${(after.stats.window.bytes / MIB).toFixed(1)} MiB in the window, ${held.toFixed(1)} MiB held`,
  );
  expect(after.stats.window.bytes).toBeLessThan(MIB);
  expect(held).toBeLessThan(4);
});

it.each([
  { bytes: 100, count: 20_000 },
  { bytes: 1_000, count: 10_000 },
])(
  "the window's memory is close to its bytes: $count events of $bytes bytes",
  { timeout: 30_000 },
  async ({ bytes, count }) => {
    server = await ChannelServer.start("http");
    const client = new EventClient(server.port, "/?channels=news");
    const tally = new Tally(client);
    await connectAll([client]);
    const news = { channels: ["news"], bytes, perSecond: 5_000 };
    await server.publish({ ...news, count: 2_000 });
    const before = await server.settle();
    await server.publish({ ...news, count });
    await eventually("all events", () => tally.numbers.length === 2_000 + count);
    const after = await server.settle();
    const inWindow = after.stats.window.bytes - before.stats.window.bytes;
    const buffers = after.arrayBuffers - before.arrayBuffers;
    const heap = after.heapUsed - before.heapUsed;
    console.log(
      `frames of ${(inWindow / count).toFixed(0)} bytes cost ${(buffers / count).toFixed(0)} bytes of buffers, ${(heap / count).toFixed(0)} of heap`,
    );
    expect(after.stats.window.events).toBe(2_000 + count);
    expect(buffers).toBeLessThan(1.5 * inWindow);
  },
);
