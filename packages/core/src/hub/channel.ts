/** Types of `publish` and `hub.channel(name)`. */

import type { PublishOptions } from "../log/log.js";
import type { ChannelMessage } from "../options/channels.js";
import type { OwnedSession } from "../session/session.js";

/** Options of `hub.publish`. */
export interface HubPublishOptions extends PublishOptions {
  /**
   * A session of this hub that does not get the event, for example the one whose request caused it. Only the stream
   * that is open now skips it, even if that stream is slow. A client that reconnects has a new session: if its last
   * event ID is older than the event, the replay includes it, and so does `latest`. A session that has closed or has no
   * channels yet is ignored.
   *
   * If several processes share the log, that session's stream waits until the log has delivered the event back.
   *
   * @defaultValue every subscribed session gets it
   */
  readonly except?: ExceptedSession | undefined;
}

/** Any session, whatever its channel and request types. */
export type ExceptedSession = Pick<OwnedSession<unknown, never, unknown>, "closeReason" | "hub">;

/** Result of `publish`. */
export interface Published {
  /** Id of the event: a client that has received it reports this as its last event ID. */
  readonly id: string;
}

/** One channel of a hub: `hub.channel(name)`. */
export interface Channel<Events = Record<string, unknown>> {
  /** Name of the channel. */
  readonly name: string;
  /** Number of sessions and of `read` loops in this process that follow the channel at present. */
  readonly subscriptionCount: number;
  /** Publishes to this channel, as `hub.publish` does. */
  publish(message: ChannelMessage<Events>, options?: HubPublishOptions): Promise<Published>;
}
