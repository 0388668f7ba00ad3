/** Everything that a stream under test has received, over all its connections. */

import type { ChannelsOf, ResetReason } from "@tidewire/core";
import type { AnyEvent } from "./channels.js";
import type { Block, BlockListener } from "./event-parser.js";
import type { Transcript } from "./transcript.js";
import { excerpt } from "./transcript.js";

/** The last event ID that says that a stream is complete. */
const END_ID = "~end";

/** An `sse-reset`. */
export interface StreamReset {
  /** Why events may be missing. */
  readonly reason: ResetReason;
  /** All channels of the stream. */
  readonly channels: readonly string[];
  /** Position from which the stream continues; `""` if a snapshot follows. */
  readonly id: string;
  /** When it arrived, in milliseconds since the stream was opened. */
  readonly atMs: number;
}

/** Sorts the blocks of a stream into events, resets and comments, and keeps those that were not taken. */
export class Received<Channels extends ChannelsOf<Channels>> implements BlockListener {
  readonly events: AnyEvent<Channels>[] = [];
  readonly untaken: AnyEvent<Channels>[] = [];
  readonly resets: StreamReset[] = [];
  readonly untakenResets: StreamReset[] = [];
  readonly comments: string[] = [];
  lastEventId: string;
  retry: number | undefined;
  heartbeatMs: number | false | undefined;
  isCompleted = false;
  /** Number of comments and cursors. */
  signs = 0;
  /** Whether the connection has a block or a comment. */
  hasBegun = false;
  /** Whether the connection has a cursor, a reset or an event. */
  isSubscribed = false;
  readonly #transcript: Transcript;

  constructor(lastEventId: string, transcript: Transcript) {
    this.lastEventId = lastEventId;
    this.#transcript = transcript;
  }

  /** A new connection begins. */
  begin(lastEventId: string): void {
    this.lastEventId = lastEventId;
    this.hasBegun = false;
    this.isSubscribed = false;
  }

  block({ event, data, id, retry }: Block): void {
    this.hasBegun = true;
    if (id !== undefined) this.lastEventId = id;
    if (id === END_ID) this.isCompleted = true;
    if (retry !== undefined) this.retry = retry;
    const idNote = id === undefined ? "" : ` id=${excerpt(id)}`;
    this.#transcript.add(
      data === undefined ? `no event${idNote}` : `${event}${idNote} ${excerpt(data)}`.trimEnd(),
    );
    if (data === undefined) return;
    const atMs = this.#transcript.ms;
    if (event === "sse-cursor") {
      this.isSubscribed = true;
      this.signs += 1;
      const fields = parse(data) as { heartbeatMs?: number | false } | null;
      if (fields?.heartbeatMs !== undefined) this.heartbeatMs = fields.heartbeatMs;
    } else if (event === "sse-reset") {
      this.isSubscribed = true;
      const fields = parse(data) as Pick<StreamReset, "reason" | "channels">;
      const reset = { ...fields, id: id ?? "", atMs };
      this.resets.push(reset);
      this.untakenResets.push(reset);
    } else if (!event.startsWith("sse-")) {
      this.isSubscribed = true;
      // The channel types exist only for the compiler.
      const received = { event, data: parse(data), text: data, id, atMs } as AnyEvent<Channels>;
      this.events.push(received);
      this.untaken.push(received);
    }
  }

  comment(text: string): void {
    this.hasBegun = true;
    this.signs += 1;
    this.#transcript.add(`: ${excerpt(text)}`.trimEnd());
    this.comments.push(text);
  }
}

/** Data that is not JSON is a string. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
