/** The contract between an outlet and its reader of the log. */

import type { SharedFrames } from "../wire/shared-frames.js";

/** Reads the log for one outlet and writes the due entries to it. */
export interface Reader {
  /** Whether the client has everything published. */
  readonly isLive: boolean;
  /**
   * Whether the stream resumes and has not begun yet. Messages of the application wait for that: see {@link
   * Outlet.begun}.
   */
  readonly isBeginning: boolean;
  /** The outlet has opened, or the socket has accepted everything: due entries can be written. */
  wake(): void;
  /**
   * Writes what was published in this turn, unless the client is behind. Called before the application sends something.
   */
  catchUp(): void;
  /** Calls a function once everything published so far is written; never if the outlet closes first. */
  finish(fn: () => void): void;
  /** The outlet accepts nothing more. */
  closed(): void;
  /**
   * Called when the outlet's heartbeat is due.
   *
   * @param now - Milliseconds of a monotonic clock.
   * @param isSilent - Whether a heartbeat is due.
   * @returns Frames that move the client's position, if needed; they replace the heartbeat.
   */
  beat(now: number, isSilent: boolean): SharedFrames | undefined;
  /** @returns Milliseconds for which the client's position may stay unchanged. */
  restMs(now: number): number;
}
