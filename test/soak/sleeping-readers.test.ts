// Readers that sleep while a million events go by: what they hold, and what they get when they wake up.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createHub } from "@tidewire/core";
import type { EventReading, Hub, ReadItem } from "@tidewire/core";
import { expect, it } from "vitest";
import { turns } from "../delivery/served.js";

const EVENTS = Number(process.env["EVENTS"] ?? 1_000_000);
const READERS = 100;
/** A window of some megabytes, which turns over many times. */
const RETENTION = { maxEvents: 20_000 };
const MIB = 1024 * 1024;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

type Reading = EventReading<ReadItem<Record<string, Record<string, unknown>>, string>>;

/** Memory of JavaScript objects and of buffers, in bytes. */
async function used(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await turns();
    collect();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Publishes numbers, of which `channelOf` says where. */
async function publish(
  hub: Hub,
  from: number,
  count: number,
  channelOf: (n: number) => string,
): Promise<void> {
  for (let n = from; n < from + count; n++) {
    void hub.publish(channelOf(n), `${n} ${"x".repeat(100)}`);
    if (n % 500 === 0) await turns(1);
  }
}

/** @returns Numbers and resets up to a number. */
async function readUpTo(reading: Reading, last: number): Promise<(number | string)[]> {
  const found: (number | string)[] = [];
  while (found.at(-1) !== last) {
    const { value } = await reading.next();
    if (value === undefined) throw new Error(`The end after ${found.length}`);
    found.push(value.type === "reset" ? value.reason : Number.parseInt(String(value.data), 10));
  }
  return found;
}

it.each([
  {
    name: "the rest of what they took, one reset and everything after it, if their channels are busy",
    isBusy: true,
  },
  { name: "everything, without a reset, if their channels are quiet", isBusy: false },
])(
  `${READERS} readers that sleep while ${EVENTS} events go by hold little and get $name`,
  { timeout: 240_000 },
  async ({ isBusy }) => {
    const hub = createHub({ retention: RETENTION });
    const own = Array.from({ length: READERS }, (_, i) => `own:${i}`);
    // The window is full, and the code is warm.
    await publish(hub, 0, 3 * RETENTION.maxEvents, () => "other");
    const empty = await used();
    const readings: Reading[] = [];
    for (const channel of own) {
      const after = await hub.position();
      await publish(hub, -20, 20, () => channel);
      const reading = hub.read(channel, { after });
      expect((await reading.next()).value).toMatchObject({ type: "event" });
      readings.push(reading);
    }
    const samples = [await used()];
    const channelOf = (n: number): string => (isBusy ? (own[n % READERS] as string) : "other");
    for (let n = 0; n < EVENTS; n += EVENTS / 10) {
      await publish(hub, n, EVENTS / 10, channelOf);
      samples.push(await used());
    }
    const most = Math.max(...samples) - empty;

    const reads = readings.map((reading) => readUpTo(reading, EVENTS + 9));
    // All are awake, and have what is there.
    await turns(100);
    for (const channel of own) await publish(hub, EVENTS, 10, () => channel);
    const rest = Array.from({ length: 19 }, (_, i) => i - 19);
    const end = Array.from({ length: 10 }, (_, i) => EVENTS + i);
    const expected = isBusy ? [...rest, "overflow", ...end] : [...rest, ...end];
    expect(await Promise.all(reads)).toEqual(own.map(() => expected));
    console.log(
      `${EVENTS} events: ${samples.map((bytes) => ((bytes - empty) / MIB).toFixed(1)).join(" ")} MiB beyond the window, at most ${(most / READERS / 1024).toFixed(1)} KiB per reader`,
    );
    expect(most / READERS).toBeLessThan(20 * 1024);
    await hub.close();
  },
);
