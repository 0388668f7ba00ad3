/** The diagnostics channels on which a hub publishes single events, and their messages. */

import { channel } from "node:diagnostics_channel";
import type { ChannelMap } from "../options/channels.js";
import type { CloseReason, OwnedSession } from "../session/session.js";
import type { ResetReason } from "../wire/frame.js";

/** The session of a diagnostics message. Its `hub` tells the hubs of a process apart. */
export type DiagnosticSession = OwnedSession<unknown, ChannelMap, unknown>;

/**
 * Messages of the hub's channels of `node:diagnostics_channel`, by the name of the channel. A channel without
 * subscribers costs nothing.
 *
 * @see https://nodejs.org/api/diagnostics_channel.html
 */
export interface DiagnosticMessages {
  /** A stream starts. */
  readonly "tidewire.session.open": {
    readonly session: DiagnosticSession;
    /** Time that the session waited for `authorize`, CORS, the log and its turn on the connection, in milliseconds. */
    readonly waitMs: number;
  };
  /** A stream accepts no more messages: once for each that has started. */
  readonly "tidewire.session.close": {
    readonly session: DiagnosticSession;
    readonly reason: CloseReason;
    /** Time since the stream started, in milliseconds. */
    readonly lifetimeMs: number;
    /** Events and messages that were written to the client, or were waiting for its socket. */
    readonly events: number;
    /** Bytes of `events`. Heartbeats, comments and the framing of HTTP are not included. */
    readonly bytes: number;
  };
  /** An event was published by this process. */
  readonly "tidewire.publish": {
    readonly hub: unknown;
    readonly channel: string;
    readonly id: string;
    /** As it was given to `publish`. */
    readonly message: unknown;
  };
  /** A client is sent an `sse-reset` event. */
  readonly "tidewire.reset": {
    readonly session: DiagnosticSession;
    readonly reason: ResetReason;
    readonly channels: readonly string[];
  };
  /** All streams that are up to date were written an event: a sample, at most one every 10 ms. */
  readonly "tidewire.delivery": {
    readonly hub: unknown;
    /**
     * Time from the moment when the event was published, or arrived from the other processes, to the last of these
     * writes, in milliseconds.
     */
    readonly delayMs: number;
  };
}

/** One channel, with the type of its messages. */
interface TypedChannel<Message> {
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
}

/** The channels, each with the type of its messages. */
export const DIAGNOSTICS: {
  readonly open: TypedChannel<DiagnosticMessages["tidewire.session.open"]>;
  readonly close: TypedChannel<DiagnosticMessages["tidewire.session.close"]>;
  readonly publish: TypedChannel<DiagnosticMessages["tidewire.publish"]>;
  readonly reset: TypedChannel<DiagnosticMessages["tidewire.reset"]>;
  readonly delivery: TypedChannel<DiagnosticMessages["tidewire.delivery"]>;
} = {
  open: channel("tidewire.session.open"),
  close: channel("tidewire.session.close"),
  publish: channel("tidewire.publish"),
  reset: channel("tidewire.reset"),
  delivery: channel("tidewire.delivery"),
};
