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

it("what the window has dropped is free, also while sessions rest that got it", async () => {
  server = await ChannelServer.start("http", { retention: { maxBytes: MIB } });
  const clients = Array.from(
    { length: SESSIONS },
    (_, i) => new EventClient(server.port, `/?channels=user-${i}`),
  );
  const tallies = clients.map((client) => new Tally(client));
  await connectAll(clients);
  const before = await server.settle();
  // One event for each session, each in a tick of its own, and silence thereafter.
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
