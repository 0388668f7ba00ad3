import { setTimeout as delay } from "node:timers/promises";
import type { Hub } from "@tidewire/core";

/** Events that a hub of these tests retains. */
export const RETENTION = 50;

/**
 * Publishes three times the retained number of events on the channel `busy`, over several heartbeats. A listener of
 * another channel would get a reset if its position stayed behind.
 *
 * @returns The id of the last event.
 */
export async function publishBusily(hub: Hub): Promise<string> {
  let last = "";
  for (let n = 0; n < 3 * RETENTION; n++) {
    last = (await hub.publish("busy", `event ${n}`)).id;
    await delay(15);
  }
  return last;
}
