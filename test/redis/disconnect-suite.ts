/** Disconnects on three nodes while events are published, for a few streams or a thousand. */

import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { eventually } from "../client.js";
import { TimedStream } from "./many-streams.js";
import { ClusterNode } from "./node.js";

/** How late after the promise an event may arrive, in milliseconds. */
const LATE_MS = 100;

/** Measurements of one run. */
export interface Disconnected {
  /** Events that the streams of the identity got before. */
  readonly events: number;
  /** Time from the promise to the last event that any of them got, in milliseconds; negative if that came before. */
  readonly lastMs: number;
}

/**
 * Opens streams of one identity on three nodes, publishes, and disconnects the identity on the first node.
 *
 * @param count - Streams of the identity, in all.
 * @param perSecond - Events published while that happens.
 */
export async function disconnectMany(
  url: string,
  { count, perSecond }: { readonly count: number; readonly perSecond: number },
): Promise<Disconnected> {
  const nodes = await Promise.all([1, 2, 3].map(() => ClusterNode.start({ url })));
  const all: TimedStream[] = [];
  try {
    const portOf = (index: number): number => nodes[index % 3]?.port ?? 0;
    const streams: TimedStream[] = [];
    for (let index = 0; index < count; index++) {
      streams.push(await TimedStream.open(portOf(index), "/?channel=news&user=ada"));
    }
    all.push(...streams);
    const others: TimedStream[] = [];
    for (let index = 0; index < 3; index++) {
      others.push(await TimedStream.open(portOf(index), "/?channel=news&user=bob"));
    }
    all.push(...others);
    const seconds = 3;
    const publishing = nodes[2]?.publish({
      channels: ["news"],
      from: 0,
      count: seconds * perSecond,
      perSecond,
      prefix: "at ",
    });
    await delay(1_000);
    const settled = await nodes[0]?.disconnect({ identity: "ada" });
    expect(settled?.code).toBeUndefined();
    await publishing;
    await eventually("all streams to end", () => streams.every(({ isEnded }) => isEnded));
    await eventually("the others to go on", () =>
      others.every(({ count: events }) => events > (perSecond * seconds) / 30),
    );
    expect(others.filter(({ isEnded }) => isEnded)).toEqual([]);
    const last = Math.max(...streams.map(({ lastEventAt }) => lastEventAt));
    const lastMs = last - (settled?.at ?? 0);
    expect(lastMs).toBeLessThan(LATE_MS);
    return { events: streams.reduce((sum, { count: events }) => sum + events, 0), lastMs };
  } finally {
    for (const stream of all) stream.close();
    await Promise.all(nodes.map((node) => node.close()));
  }
}
