import { afterEach, expect, it } from "vitest";
import { eventually, within } from "../client.js";
import { BINDINGS } from "./bindings.js";
import { IS_DIRECT, StreamServer, isDirect, turn } from "./direct-streams.js";
import type { Opened } from "./direct-streams.js";
import { LAST_CHUNK } from "./raw-capture.js";
import { recordWrites } from "./recorded-writes.js";

const TIMEOUT_MS = 60_000;
/** More than the kernel accepts for a client that does not read. */
const TOTAL_BYTES = 25_000_000;
/** Upper bound for the high water mark, a slice or an event of 100 KB, and the framing. */
const MAX_BUFFERED_BYTES = 256 * 1024;
const TURN_EVENTS = 40;

let server: StreamServer;

afterEach(() => server.close());

async function open(): Promise<Opened> {
  server = await StreamServer.start(BINDINGS[0]!);
  return server.open();
}

/**
 * Publishes numbered events up to a total number of bytes.
 *
 * @param perTurn - Called after each turn, and when the socket is full.
 */
async function publishAll(
  sizeOf: (number: number) => number,
  perTurn: (events: number) => void = () => {},
): Promise<number> {
  let number = 0;
  for (let bytes = 0; bytes < TOTAL_BYTES;) {
    for (let i = 0; i < TURN_EVENTS; i++) {
      const size = sizeOf(number);
      void server.publish(`${number} `.padEnd(size, "x"));
      number += 1;
      bytes += size;
    }
    await turn();
    perTurn(number);
  }
  return number;
}

/** Same as {@link publishAll}, to a client that does not read. Returns the number of events and the most bytes held. */
async function publishToStalled(
  { client, session }: Opened,
  sizeOf: (number: number) => number,
): Promise<{ count: number; held: number }> {
  client.socket.pause();
  let held = 0;
  const look = (): void => void (held = Math.max(held, session.bufferedBytes));
  const count = await publishAll(sizeOf, look);
  // Large events are sent one per turn.
  for (let turns = 0; turns < count; turns++) {
    await turn();
    look();
  }
  expect(server.hub.stats().sessions).toMatchObject({ open: 1, live: 0, behind: 1 });
  expect(session.bufferedBytes).toBeGreaterThan(0);
  return { count, held };
}

/** Waits until the stream has everything, ends it, and returns the received numbers. */
async function receiveAll({ client, session }: Opened): Promise<number[]> {
  await eventually(
    "the client to catch up",
    () => server.hub.stats().sessions.behind === 0 && session.bufferedBytes === 0,
    TIMEOUT_MS,
  );
  session.close();
  await client.until("the end", () => client.endsWith(LAST_CHUNK));
  const { body, isEnded } = client.response();
  expect(isEnded).toBe(true);
  const found = body.toString("latin1").matchAll(/^data: (\d+) x*\n\n/gm);
  return Array.from(found, ([, number]) => Number(number));
}

/** The first index where the numbers do not ascend by one from 0; `undefined` if there is none. */
function firstFault(numbers: readonly number[], count: number): number | undefined {
  for (let i = 0; i < Math.max(count, numbers.length); i++) if (numbers[i] !== i) return i;
  return undefined;
}

const SIZES: [string, (number: number) => number][] = [
  ["small events", () => 1_000],
  ["events larger than the high water mark", () => 100_000],
  ["events of all sizes", (number) => [10, 3_000, 66_000, 200, 20_000, 10, 100_000][number % 7]!],
];

it.each(SIZES)(
  "holds next to nothing for a client that stops reading, and later sends it everything: %s",
  async (_what, sizeOf) => {
    const stream = await open();
    const pieces = recordWrites(stream.socket);
    const { count, held } = await publishToStalled(stream, sizeOf);
    expect(held).toBeLessThan(MAX_BUFFERED_BYTES);
    stream.client.socket.resume();
    const numbers = await receiveAll(stream);
    expect([numbers.length, firstFault(numbers, count)]).toEqual([count, undefined]);
    expect(server.hub.stats()).toMatchObject({ resets: { overflow: 0 }, closes: { slow: 0 } });
    expect(isDirect(pieces, "data: ")).toBe(IS_DIRECT);
  },
  TIMEOUT_MS,
);

it(
  "sends everything to a client that reads now and then",
  async () => {
    const stream = await open();
    const { socket } = stream.client;
    let blocks = 0;
    let isReading = true;
    const count = await publishAll(SIZES[2]![1], (events) => {
      // Off long enough for the socket to back up, then on for as long.
      if (events % (TURN_EVENTS * 8) !== 0) return;
      if (server.hub.stats().sessions.behind > 0) blocks += 1;
      isReading = !isReading;
      if (isReading) socket.resume();
      else socket.pause();
    });
    socket.resume();
    const numbers = await receiveAll(stream);
    expect([numbers.length, firstFault(numbers, count)]).toEqual([count, undefined]);
    expect(blocks).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

it(
  "accepts messages for one session while it is blocked, and settles them when the client reads",
  async () => {
    const stream = await open();
    const { session, client } = stream;
    const { count } = await publishToStalled(stream, SIZES[1]![1]);
    let settled = 0;
    const sends = Array.from({ length: 50 }, async (_, index) => {
      const isOpen = await session.send(`mine ${index}`);
      settled += 1;
      return isOpen;
    });
    await server.publish(`${count} `);
    await turn();
    expect([settled, server.hub.stats().sessions.behind]).toEqual([0, 1]);
    client.socket.resume();
    const results = await within("the messages to settle", Promise.all(sends));
    expect(results.every((one) => one)).toBe(true);
    const numbers = await receiveAll(stream);
    expect([numbers.length, firstFault(numbers, count + 1)]).toEqual([count + 1, undefined]);
    const mine = client
      .response()
      .body.toString("latin1")
      .match(/^data: mine \d+\n\n/gm);
    expect(mine).toEqual(sends.map((_, index) => `data: mine ${index}\n\n`));
  },
  TIMEOUT_MS,
);

it("does not wait for a client after an event above the high water mark that the kernel takes at once", async () => {
  const stream = await open();
  let drains = 0;
  stream.response.on("drain", () => (drains += 1));
  for (let i = 0; i < 3; i++) {
    await server.publish("x".repeat(100_000) + i);
    await stream.client.untilBody(`x${i}\n\n`);
    await server.settle([stream]);
  }
  // The ordinary way always asks to wait after so many bytes.
  expect(drains).toBe(IS_DIRECT ? 0 : 3);
  stream.client.socket.destroy();
});

it("cuts a blocked session that is sent too much, as on the ordinary way", async () => {
  server = await StreamServer.start(BINDINGS[0]!, { hub: { maxBufferedBytes: 200_000 } });
  for (const prefix of ["/direct", "/ordinary"]) {
    const stream = await server.open(prefix);
    const closed = new Promise((resolve) => {
      stream.session.onClose(resolve);
    });
    await publishToStalled(stream, SIZES[1]![1]);
    for (let i = 0; i < 3; i++) void stream.session.send("x".repeat(100_000));
    expect(await within("the session to close", closed)).toBe("slow");
    stream.client.socket.resume();
    await stream.client.untilClosed();
  }
});
