/** What `publish` and `hub.channel(name)` give. */

import type { PublishOptions } from "../log/log.js";
import type { ChannelMessage } from "../options/channels.js";

/** What `publish` gives. */
export interface Published {
  /** Id of the event: what a client that has received it reports as its last event ID. */
  readonly id: string;
}

/** One channel of a hub: `hub.channel(name)`. */
export interface Channel<Events = Record<string, unknown>> {
  /** Its name. */
  readonly name: string;
  /** Sessions of this process that are subscribed now. */
  readonly subscriptionCount: number;
  /** As `hub.publish`, on this channel. */
  publish(message: ChannelMessage<Events>, options?: PublishOptions): Promise<Published>;
}
