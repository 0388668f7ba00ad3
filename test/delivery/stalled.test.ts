import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { ChannelServer } from "../faults/channels-child.js";
import { Tally, connectAll, faultIn, pause, percentile } from "../faults/channels-tally.js";
import { EventClient } from "./event-client.js";

const MIB = 1024 * 1024;
const OTHERS = 10;
const EVENT_BYTES = 1_000;
/** 1 MB/s for 10 s; for 30 s with LONG=1. */
const PER_SECOND = 1_000;
const SECONDS = process.env["LONG"] === "1" ? 30 : 10;
const BEFORE_SECONDS = 3;

let server: ChannelServer;

afterEach(() => server.kill());

async function connectClients(): Promise<{
  stalled: EventClient;
  tally: Tally;
  others: { client: EventClient; tally: Tally }[];
}> {
  const make = (): { client: EventClient; tally: Tally } => {
    const client = new EventClient(server.port, "/?channels=news");
    return { client, tally: new Tally(client) };
  };
  const { client: stalled, tally } = make();
  const others = Array.from({ length: OTHERS }, make);
  await connectAll([stalled, ...others.map(({ client }) => client)]);
  return { stalled, tally, others };
}

it(
  `a reader that stalls for ${SECONDS} s of 1 MB/s costs less than maxBufferedBytes, does not hold up others, and then gets everything`,
  { timeout: 120_000 },
  async () => {
    server = await ChannelServer.start("express", { stallTimeoutMs: 300_000 });
    const { stalled, tally, others } = await connectClients();
    const before = PER_SECOND * BEFORE_SECONDS;
    const all = before + PER_SECOND * SECONDS;
    const news = { channels: ["news"], perSecond: PER_SECOND, bytes: EVENT_BYTES };
    await server.publish({ ...news, count: before });
    await eventually("all to have the first events", () =>
      [tally, ...others.map((other) => other.tally)].every(
        ({ numbers }) => numbers.length === before,
      ),
    );
    const settled = await server.settle();

    stalled.pause();
    await server.publish({ ...news, count: all - before });
    await eventually("the others to have all", () =>
      others.every((other) => other.tally.numbers.length === all),
    );
    const { stats, peakBuffered } = await server.report();
    const after = await server.settle();
    expect(stats.sessions).toMatchObject({ open: OTHERS + 1, live: OTHERS, behind: 1 });
    expect(tally.numbers.length).toBeLessThan(all);

    const latencies = others.flatMap((other) => other.tally.latencies.slice(0, before));
    const latenciesStalled = others.flatMap((other) => other.tally.latencies.slice(before));
    const p99 = percentile(latencies, 0.99);
    const p99Stalled = percentile(latenciesStalled, 0.99);
    const inWindow = after.stats.window.bytes - settled.stats.window.bytes;
    const grown = (after.rss - settled.rss - inWindow) / MIB;
    console.log(
      `stalled for ${SECONDS} s: at most ${(peakBuffered / 1024).toFixed(0)} KiB buffered; the others' latency p99 ${p99.toFixed(1)} ms before, ${p99Stalled.toFixed(1)} ms during; RSS after a garbage collection grew by ${grown.toFixed(1)} MiB beyond the window`,
    );
    expect(peakBuffered).toBeLessThan(MIB);
    expect(p99Stalled).toBeLessThan(p99 + 500);

    stalled.resume();
    await eventually("the stalled reader to have all", () => tally.numbers.length >= all);
    for (const numbers of [tally.numbers, ...others.map((other) => other.tally.numbers)]) {
      expect(faultIn(numbers, 0, all)).toBe("none");
    }
    expect([stalled.resets, stalled.connections]).toEqual([[], 1]);
    expect((await server.report()).stats.closes).toMatchObject({ slow: 0, client: 0 });
  },
);

it("a reader passed by the window gets a reset each time, and then everything", async () => {
  server = await ChannelServer.start("express", {
    stallTimeoutMs: 300_000,
    // Half a second of events: the window does not pass a client that reads, however busy the machine.
    retention: { maxBytes: 4 * MIB },
  });
  const { stalled, tally, others } = await connectClients();
  const news = { channels: ["news"], perSecond: 8_000, bytes: EVENT_BYTES };
  await server.publish({ ...news, count: 100 });
  await eventually("the first events", () => tally.numbers.length === 100);
  stalled.pause();
  await server.publish({ ...news, count: 20_000 });
  expect((await server.report()).stats.sessions.behind).toBe(1);
  stalled.resume();
  await eventually("the reset", () => stalled.resets.length > 0);
  // Live again, after the part that the window still had.
  await server.publish({ ...news, perSecond: 1_000, count: 500 });
  const all = 20_600;
  await eventually("the last event", () => tally.numbers.at(-1) === all - 1);

  // Kernel buffers may grow while it stalls: then it reads on for a moment and is passed once more.
  const overflow = { reason: "overflow", channels: ["news"] };
  expect(stalled.resets).toEqual(tally.resetsAfter.map(() => overflow));
  expect(stalled.connections).toBe(1);
  const [after = 0] = tally.resetsAfter;
  expect(faultIn(tally.numbers.slice(0, after), 0, after)).toBe("none");
  let next = after;
  for (const [index, start] of tally.resetsAfter.entries()) {
    const part = tally.numbers.slice(start, tally.resetsAfter[index + 1]);
    const [first = next + 1] = part;
    expect(first).toBeGreaterThan(next);
    expect(faultIn(part, first, first + part.length)).toBe("none");
    next = first + part.length;
  }
  expect(next).toBe(all);
  const { stats, peakBuffered } = await server.report();
  console.log(
    `overflow: ${after} events, ${stalled.resets.length} resets, ${tally.numbers.length} of ${all} in all; at most ${(peakBuffered / 1024).toFixed(0)} KiB buffered`,
  );
  const { length } = stalled.resets;
  expect(stats.resets).toEqual({ trimmed: 0, unknown: 0, overflow: length, fork: 0 });
  await eventually("the others to have all", () =>
    others.every((other) => other.tally.numbers.length === all),
  );
  for (const other of others) {
    expect(other.client.resets).toEqual([]);
    expect(faultIn(other.tally.numbers, 0, all)).toBe("none");
  }
});

it("a reader closed with slow comes back and resumes without loss", async () => {
  server = await ChannelServer.start("express", { stallTimeoutMs: 1_000 });
  const { stalled, tally } = await connectClients();
  const news = { channels: ["news"], perSecond: 8_000, bytes: EVENT_BYTES };
  await server.publish({ ...news, count: 100 });
  await eventually("the first events", () => tally.numbers.length === 100);
  stalled.pause();
  await server.publish({ ...news, count: 20_000 });
  let report = await server.report();
  for (const end = performance.now() + 10_000; performance.now() < end; await pause(50)) {
    report = await server.report();
    if (report.stats.closes.slow > 0) break;
  }
  expect(report.stats.closes).toMatchObject({ slow: 1, client: 0 });
  expect(report.stats.sessions.open).toBe(OTHERS);

  const publishing = server.publish({ ...news, perSecond: 1_000, count: 1_000 });
  // It reads what the kernel has buffered, and then notices the end.
  stalled.resume();
  await eventually("the stalled reader to hear of its end", () => !stalled.isOpen);
  const had = tally.numbers.length;
  stalled.connect();
  await publishing;
  const all = 21_100;
  await eventually("the stalled reader to have all", () => tally.numbers.length >= all);
  console.log(`slow: ${had} events before the cut, ${all - had} after it`);
  expect(had).toBeLessThan(all);
  expect([stalled.resets, stalled.connections]).toEqual([[], 2]);
  expect(faultIn(tally.numbers, 0, all)).toBe("none");
});
