/** What `publish` and `hub.channel(name)` give. */

import type { PublishOptions } from "../log/log.js";
import type { ChannelMessage } from "../options/channels.js";
import type { OwnedSession } from "../session/session.js";

/** Options of `hub.publish`. */
export interface HubPublishOptions extends PublishOptions {
  /**
   * A session of this hub that does not get the event, for example that of the client whose request has led to it. It is
   * passed over on the stream that is open now, also if that is slow. A client that comes back has a new session: one whose
   * last event ID lies before the event is replayed it, as everybody else, and `latest` has it, too. A session that has
   * closed, or has no channels yet, is ignored.
   *
   * Where many processes share the log, the stream of that session waits until the event is back from there.
   *
   * @defaultValue everybody who is subscribed gets it
   */
  readonly except?: ExceptedSession | undefined;
}

/** Any session, whatever its channels and its request are. */
export type ExceptedSession = Pick<OwnedSession<unknown, never, unknown>, "closeReason" | "hub">;

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
  publish(message: ChannelMessage<Events>, options?: HubPublishOptions): Promise<Published>;
}
