/** The contract between an outlet and whatever reads the log for it. */

import type { SharedFrames } from "../wire/shared-frames.js";

/** Reads the log for one outlet and writes to it what is due. */
export interface Reader {
  /** Whether the client has everything that was published. */
  readonly isLive: boolean;
  /** Whether the stream resumes and has yet to begin. What the application sends waits for that: see {@link Outlet.begun}. */
  readonly isBeginning: boolean;
  /** The outlet has opened, or the client has taken what was written: there is room for what is due. */
  wake(): void;
  /** Writes what was published in this turn, unless the client is behind: the application is about to send something. */
  catchUp(): void;
  /** Calls a function once everything published until now is written; never if the outlet closes first. */
  finish(fn: () => void): void;
  /** The outlet takes nothing more. */
  closed(): void;
  /**
   * Called when the outlet's heartbeat has its turn.
   *
   * @param now - Milliseconds of a monotonic clock.
   * @param isSilent - Whether a heartbeat is due.
   * @returns Frames that move the client's position, if that is due; they stand in for the heartbeat.
   */
  beat(now: number, isSilent: boolean): SharedFrames | undefined;
  /** @returns For how many milliseconds the client's position may stay as it is. */
  restMs(now: number): number;
}
