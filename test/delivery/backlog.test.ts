import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { ChannelServer } from "../faults/channels-child.js";
import { Tally, connectAll, faultIn } from "../faults/channels-tally.js";
import { EventClient } from "./event-client.js";
import { IS_READ } from "./follow.mjs";

const MIB = 1024 * 1024;
const MISSED = 50_000;
const IS_LONG = process.env["LONG"] === "1";
/** By default eight times as fast as with LONG=1, which takes 100 s at 100 KB/s. */
const BYTES_PER_SECOND = IS_LONG ? 100_000 : 800_000;
/** About 9 MB in all with log and encoding: more than the kernel buffers. */
const EVENT_BYTES = 100;
const LIVE_PER_SECOND = IS_LONG ? 50 : 200;
const WARM_UP_EVENTS = 2_000;
/**
 * Most MiB by which the process may grow. A loop over `hub.read` makes a string and an object of each event: garbage that V8
 * collects when it sees fit. How little a reader holds is measured in test/soak/sleeping-readers.test.ts.
 */
const MOST_MIB = IS_READ ? 64 : 5;
/** Clients that return together: a cost per client would count twice. */
const RETURNING = 2;

let server: ChannelServer;

afterEach(() => server.kill());

/** Reads at most this many bytes a second. */
function throttle(client: EventClient, bytesPerSecond: number): () => void {
  let credit = 0;
  let last = performance.now();
  client.onChunk = (chunk) => {
    credit -= chunk.length;
    if (credit <= 0) client.pause();
    return chunk;
  };
  const timer = setInterval(() => {
    const now = performance.now();
    credit = Math.min(credit + ((now - last) / 1_000) * bytesPerSecond, bytesPerSecond);
    last = now;
    if (credit > 0) client.resume();
  }, 10);
  return () => {
    clearInterval(timer);
    client.onChunk = (chunk) => chunk;
    client.resume();
  };
}

it(
  `${RETURNING} clients that missed ${MISSED} events read them at ${BYTES_PER_SECOND / 1_000} KB/s each while more are published`,
  { timeout: 200_000 },
  async () => {
    // V8 must not grow the young generation at will, because its size would dominate the measurement.
    const flags = ["--max-semi-space-size=1"];
    server = await ChannelServer.start("express", { stallTimeoutMs: 60_000 }, flags);
    const make = (): { client: EventClient; tally: Tally } => {
      const client = new EventClient(server.port, "/?channels=news");
      return { client, tally: new Tally(client) };
    };
    const returning = Array.from({ length: RETURNING }, make);
    const stays = make();
    const all = [...returning, stays];
    await connectAll(all.map(({ client }) => client));
    const news = { channels: ["news"], bytes: EVENT_BYTES };
    // Warms up the code before memory is measured: live events and a replay.
    await server.publish({ ...news, count: WARM_UP_EVENTS, perSecond: 2_000 });
    await have(all, WARM_UP_EVENTS);
    for (const { client } of returning) client.cut("fin");
    await server.publish({ ...news, count: WARM_UP_EVENTS, perSecond: 2_000 });
    await connectAll(returning.map(({ client }) => client));
    await have(all, 2 * WARM_UP_EVENTS);
    for (const { client } of returning) client.cut("fin");
    await server.publish({ ...news, count: MISSED });
    const missed = 2 * WARM_UP_EVENTS + MISSED;
    await have([stays], missed);
    const before = await server.settle();
    expect(before.stats.window.events).toBe(missed);

    const begin = performance.now();
    const releases = returning.map(({ client }) => throttle(client, BYTES_PER_SECOND));
    for (const { client } of returning) client.connect();
    let published = missed;
    // Published until they have caught up, to cover the transition.
    while (returning.some(({ tally }) => tally.numbers.length < missed)) {
      expect(performance.now() - begin).toBeLessThan(180_000);
      await server.publish({ ...news, count: LIVE_PER_SECOND, perSecond: LIVE_PER_SECOND });
      published += LIVE_PER_SECOND;
    }
    const seconds = (performance.now() - begin) / 1_000;
    const { peakRss, peakBuffered, stats } = await server.report();
    const live = published - missed;
    for (const release of releases) release();
    await server.publish({ ...news, count: LIVE_PER_SECOND, perSecond: LIVE_PER_SECOND });
    published += LIVE_PER_SECOND;
    await have(all, published);

    const inWindow = stats.window.bytes - before.stats.window.bytes;
    const grown = (peakRss - before.rss - inWindow) / MIB;
    console.log(
      `${MISSED} missed events (${(before.stats.window.bytes / 1e6).toFixed(1)} MB) read by ${RETURNING} clients in ${seconds.toFixed(1)} s, ${live} more published meanwhile: RSS beyond the window grew by ${grown.toFixed(1)} MiB at most; at most ${(peakBuffered / 1024).toFixed(0)} KiB buffered for one`,
    );
    expect(seconds).toBeGreaterThan(5);
    for (const { tally } of all) expect(faultIn(tally.numbers, 0, published)).toBe("none");
    for (const { client } of returning) {
      expect([client.resets, client.connections]).toEqual([[], 3]);
    }
    expect(stats.replays).toBe(2 * RETURNING);
    expect(peakBuffered).toBeLessThan(256 * 1024);
    expect(grown).toBeLessThan(MOST_MIB);
  },
);

async function have(clients: readonly { readonly tally: Tally }[], count: number): Promise<void> {
  await eventually(`${count} events`, () =>
    clients.every(({ tally }) => tally.numbers.length >= count),
  );
}
