import { setTimeout as delay } from "node:timers/promises";
import type { Publisher } from "@tidewire/core";
import type { Channels, NodeStatus } from "./channels.js";

/** Interval between ticks, in milliseconds: eight a second. */
const TICK_MS = 125;
/** Ticks after which the status is published again even if unchanged, for new pages. */
const STATUS_TICKS = 8;

/**
 * Publishes ticks, numbered from 1, until it is stopped.
 *
 * A tick that Redis has not confirmed is published again with the same `dedupeKey`. The numbers therefore have neither
 * gaps nor duplicates.
 */
export async function publishTicks(
  publisher: Publisher<Channels>,
  status: () => readonly NodeStatus[],
  signal: AbortSignal,
): Promise<void> {
  let failed = 0;
  for (let number = 1; !signal.aborted;) {
    const data = { number, at: new Date().toISOString() };
    const due = delay(TICK_MS);
    try {
      await publisher.publish("ticks", { event: "tick", data }, { dedupeKey: `tick:${number}` });
      if (number % STATUS_TICKS === 0) await publishStatus(publisher, status());
      number += 1;
    } catch (error) {
      // Once per tick, however often it is retried.
      if (failed !== number) console.error(`Tick ${number} will be published again:`, error);
      failed = number;
    }
    await due;
  }
}

/** Publishes the state of the nodes to the pages. */
export async function publishStatus(
  publisher: Publisher<Channels>,
  nodes: readonly NodeStatus[],
): Promise<void> {
  await publisher.publish("nodes", { event: "nodes", data: nodes });
}
