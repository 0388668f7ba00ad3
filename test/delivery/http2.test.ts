import http2 from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { createParser } from "eventsource-parser";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../client.js";
import { ChannelServer } from "../faults/channels-child.js";
import type { ChannelReport } from "../faults/channels-child.js";
import { faultIn, pause } from "../faults/channels-tally.js";

const MIB = 1024 * 1024;
const STREAMS = 100;
/** 10 MB for each stream: far more than the flow-control window of 64 KiB. */
const EVENTS = 2_000;
const EVENT_BYTES = 5_000;
const PER_SECOND = 500;

let server: ChannelServer;
let connection: ClientHttp2Session;

afterEach(() => {
  connection.destroy();
  server.kill();
});

interface Reader {
  readonly stream: ClientHttp2Stream;
  readonly numbers: number[];
  readonly resets: string[];
  lastEventId: string;
  isEnded: boolean;
}

function openStream(channel: string, lastEventId = ""): Reader {
  const stream = connection.request({
    ":path": `/?channels=${channel}`,
    accept: "text/event-stream",
    ...(lastEventId === "" ? {} : { "last-event-id": lastEventId }),
  });
  const reader: Reader = { stream, numbers: [], resets: [], lastEventId, isEnded: false };
  const parser = createParser({
    onEvent: ({ event, id, data }) => {
      reader.lastEventId = id ?? reader.lastEventId;
      if (event === "sse-reset") reader.resets.push(data);
      if (event === undefined) reader.numbers.push(Number.parseInt(data, 10));
    },
  });
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => parser.feed(text));
  stream.on("close", () => (reader.isEnded = true));
  stream.on("error", () => {});
  return reader;
}

async function openStreams(count: number): Promise<Reader[]> {
  connection = http2.connect(`http://127.0.0.1:${server.port}`);
  connection.on("error", () => {});
  const readers = Array.from({ length: count }, () => openStream("news"));
  await reportWhen(({ stats }) => stats.sessions.live === count);
  return readers;
}

async function reportWhen(isTrue: (report: ChannelReport) => boolean): Promise<ChannelReport> {
  const end = performance.now() + 10_000;
  for (;;) {
    const report = await server.report();
    if (isTrue(report)) return report;
    if (performance.now() > end) throw new Error(`Waited for a report: ${JSON.stringify(report)}`);
    await pause(20);
  }
}

/** Bytes that the process retains. Resident memory is less precise, because the allocator keeps freed memory. */
function heldBy({ heapUsed, arrayBuffers }: ChannelReport): number {
  return heapUsed + arrayBuffers;
}

it(
  `one of ${STREAMS} streams of a connection stalls: the others get everything, and so does it when it reads on`,
  { timeout: 60_000 },
  async () => {
    server = await ChannelServer.start("http2", { stallTimeoutMs: 300_000 }, [
      "--max-semi-space-size=1",
    ]);
    const readers = await openStreams(STREAMS);
    const [stalled, cancelled, ...others] = readers as [Reader, Reader, ...Reader[]];
    const news = { channels: ["news"], bytes: EVENT_BYTES, perSecond: PER_SECOND };
    const first = 100;
    await server.publish({ ...news, count: first });
    await eventually("the first events", () =>
      readers.every(({ numbers }) => numbers.length === first),
    );
    const before = await server.settle();

    // While it is not read, its flow-control window is not extended.
    stalled.stream.pause();
    const half = first + EVENTS / 2;
    await server.publish({ ...news, count: EVENTS / 2 });
    await eventually("the others to have half", () =>
      [cancelled, ...others].every(({ numbers }) => numbers.length === half),
    );
    expect(stalled.numbers.length).toBeLessThan(half);
    expect((await server.report()).stats.sessions).toMatchObject({ open: STREAMS, behind: 1 });

    // RST_STREAM frees only this stream.
    cancelled.stream.close(http2.constants.NGHTTP2_CANCEL);
    await eventually("the end of the one", () => cancelled.isEnded);
    const { stats: freed } = await reportWhen(({ stats }) => stats.closes.client > 0);
    expect(freed.closes).toMatchObject({ client: 1, slow: 0, error: 0 });
    expect(freed.sessions).toMatchObject({ open: STREAMS - 1, live: STREAMS - 2, behind: 1 });

    const publishing = server.publish({ ...news, count: EVENTS / 2 });
    await pause(200);
    // It reconnects on the same connection, and gets what it missed.
    const back = openStream("news", cancelled.lastEventId);
    await publishing;
    const all = first + EVENTS;
    await eventually("the others to have all", () =>
      others.every(({ numbers }) => numbers.length === all),
    );
    const { peakBuffered, peakRss, stats } = await server.report();
    const after = await server.settle();
    const inWindow = stats.window.bytes - before.stats.window.bytes;
    console.log(
      `HTTP/2, ${STREAMS} streams, one stalled during ${((EVENTS * EVENT_BYTES) / 1e6).toFixed(0)} MB: at most ${(peakBuffered / 1024).toFixed(0)} KiB buffered for one stream; RSS beyond the window ${((peakRss - before.rss - inWindow) / MIB).toFixed(1)} MiB more at most; ${((heldBy(after) - heldBy(before) - inWindow) / MIB).toFixed(1)} MiB more held after a garbage collection`,
    );
    expect(peakBuffered).toBeLessThan(MIB);
    expect(heldBy(after) - heldBy(before) - inWindow).toBeLessThan(5 * MIB);
    expect(stalled.numbers.length).toBeLessThan(half);
    expect(stalled.isEnded).toBe(false);

    stalled.stream.resume();
    await eventually("the stalled one to have all", () => stalled.numbers.length >= all);
    await eventually("the cancelled one to have all", () => back.numbers.at(-1) === all - 1);
    for (const { numbers, resets, isEnded } of [stalled, ...others]) {
      expect(faultIn(numbers, 0, all)).toBe("none");
      expect([resets, isEnded]).toEqual([[], false]);
    }
    expect(faultIn([...cancelled.numbers, ...back.numbers], 0, all)).toBe("none");
    expect(back.resets).toEqual([]);
  },
);

it("a stalled stream is closed alone, and its client resumes on the same connection", async () => {
  server = await ChannelServer.start("http2", { stallTimeoutMs: 1_000 });
  const readers = await openStreams(10);
  const [stalled, ...others] = readers as [Reader, ...Reader[]];
  const news = { channels: ["news"], bytes: EVENT_BYTES, perSecond: PER_SECOND };
  await server.publish({ ...news, count: 10 });
  await eventually("the first events", () => readers.every(({ numbers }) => numbers.length === 10));
  stalled.stream.pause();
  await server.publish({ ...news, count: 200 });
  const { stats } = await reportWhen(({ stats: { closes } }) => closes.slow > 0);
  expect(stats.closes).toMatchObject({ slow: 1, client: 0, error: 0 });
  expect(stats.sessions).toMatchObject({ open: 9, live: 9 });
  stalled.stream.resume();
  await eventually("the stalled stream to end", () => stalled.isEnded);
  const back = openStream("news", stalled.lastEventId);
  await server.publish({ ...news, count: 200 });
  const all = 410;
  await eventually("all to have all", () =>
    [back, ...others].every(({ numbers }) => numbers.at(-1) === all - 1),
  );
  for (const { numbers } of others) expect(faultIn(numbers, 0, all)).toBe("none");
  expect(faultIn([...stalled.numbers, ...back.numbers], 0, all)).toBe("none");
  expect(back.resets).toEqual([]);
});
