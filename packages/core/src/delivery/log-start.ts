import type { Log, LogEntry, LogFollower, LogResetReason } from "../log/log.js";
import type { PastLog } from "./backfill.js";

/** Keeps what a log tells before it is known where the log stands: all that is after that place. */
export class EarlyFollower implements LogFollower {
  readonly failed: (error: unknown) => void;
  #calls: ((follower: LogFollower) => void)[] | undefined = [];
  #follower: LogFollower | undefined;

  constructor(failed: (error: unknown) => void) {
    this.failed = failed;
  }

  entries(entries: readonly LogEntry[]): boolean {
    if (this.#follower !== undefined) return this.#follower.entries(entries);
    this.#calls?.push((follower) => void follower.entries(entries));
    return true;
  }

  reset(reason: LogResetReason, tail: string): void {
    if (this.#follower !== undefined) this.#follower.reset(reason, tail);
    else this.#calls?.push((follower) => follower.reset(reason, tail));
  }

  /** From now on all goes to another follower. */
  handTo(follower: LogFollower): void {
    this.#follower = follower;
    for (const call of this.#calls ?? []) call(follower);
    this.#calls = undefined;
  }
}

/** Whether a log can be asked for what is older than it has delivered. */
export function keepsPast(log: Log): log is Log & PastLog {
  return log.read !== undefined && log.sync !== undefined;
}
