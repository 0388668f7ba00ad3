/** A log for several hubs of one process: docs/contribute/logs.md. */
import { randomBytes } from "node:crypto";
import { SseError } from "@tidewire/core";
import type { Log, LogFollower, LogHealth } from "@tidewire/core/log";

/** One history. Each hub gets its own log: `createHub({ log: history.log() })`. */
export class SharedHistory {
  /** Tells an ID of this history from one before a restart. */
  readonly #epoch = randomBytes(6).toString("hex");
  readonly #followers = new Set<LogFollower>();
  readonly #ids = new Map<string, string>();
  #count = 0;

  log(): Log {
    let follower: LogFollower | undefined;
    let state: LogHealth["state"] = "connecting";
    return {
      start: (given) => {
        follower = given;
        state = "live";
        this.#followers.add(given);
        return this.#idOf(this.#count);
      },
      append: async (channel, message, { dedupeKey } = {}) => {
        if (state === "closed") throw new SseError("ERR_SSE_CLOSED", "The log is closed");
        const known = dedupeKey === undefined ? undefined : this.#ids.get(dedupeKey);
        if (known !== undefined) return known;
        const id = this.#idOf(++this.#count);
        // A real log forgets keys after a while.
        if (dedupeKey !== undefined) this.#ids.set(dedupeKey, id);
        // Every follower, the caller's included, gets the event here and nowhere else.
        for (const one of this.#followers) one.entries([{ ...message, channel, id }]);
        return id;
      },
      compare: (a, b) => this.#numberOf(a) - this.#numberOf(b),
      health: () => ({ state, lagMs: 0, reconnects: 0 }),
      close: async () => {
        state = "closed";
        if (follower !== undefined) this.#followers.delete(follower);
      },
    };
  }

  /** All numbers have the same length, so that one ID has one form. */
  #idOf(count: number): string {
    return `${this.#epoch}.${String(count).padStart(12, "0")}`;
  }

  /** @returns `NaN` for text that cannot be an ID of this history. */
  #numberOf(id: string): number {
    const [epoch, digits = "", ...rest] = id.split(".");
    const isOwn = epoch === this.#epoch && /^\d{12}$/.test(digits) && rest.length === 0;
    return isOwn ? Number(digits) : NaN;
  }
}
