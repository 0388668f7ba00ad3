import { setTimeout as delay } from "node:timers/promises";
import type { Hub } from "@tidewire/core";

/** Events that a hub of these tests retains. */
export const RETENTION = 50;

/**
 * Publishes on the channel `busy` three times what is retained, over some heartbeats: who listens only to
 * another channel would, at its old position, be told that events were missed.
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
