import { setTimeout as delay } from "node:timers/promises";
import type { Publisher } from "@tidewire/core";
import type { Channels, NodeStatus } from "./channels.js";

/** Time from one tick to the next, in milliseconds: eight a second. */
const TICK_MS = 125;
/** After how many ticks it is told how the nodes are, also if nothing has changed: for pages that are new. */
const STATUS_TICKS = 8;

/**
 * Publishes ticks, numbered from 1, until it is told to stop.
 *
 * A tick that Redis did not take, or perhaps did, is published again under the same `dedupeKey`: so there is
 * neither a hole in the numbers nor one of them twice.
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
      // Once for each, however often it is tried.
      if (failed !== number) console.error(`Tick ${number} will be published again:`, error);
      failed = number;
    }
    await due;
  }
}

/** Tells the pages how the nodes are. */
export async function publishStatus(
  publisher: Publisher<Channels>,
  nodes: readonly NodeStatus[],
): Promise<void> {
  await publisher.publish("nodes", { event: "nodes", data: nodes });
}
