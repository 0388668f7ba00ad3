/** A log over a network, without one: for tests that need a log with a `past`. */
import { SseError } from "@tidewire/core";
import type { Log, LogHealth } from "@tidewire/core";
import type { LogEntry, LogFollower } from "@tidewire/core/log";

/** A history that several logs share, told of in later turns: as a log over a network, without one. */
export class DistantHistory {
  readonly entries: LogEntry[] = [];
  readonly #followers: Set<LogFollower> = new Set();
  isBroken = false;
  readonly #deduped: Map<string, string> = new Map();

  log(): Log {
    let follower: LogFollower | undefined;
    let state: LogHealth["state"] = "connecting";
    const numberOf = (id: string): number => (/^t[1-9]\d{8}$/.test(id) ? Number(id.slice(1)) : NaN);
    const idOf = (count: number): string => `t${100_000_000 + count}`;
    return {
      start: async (given) => {
        follower = given;
        state = "live";
        this.#followers.add(given);
        return idOf(this.entries.length);
      },
      append: async (channel, message, { dedupeKey = "" } = {}) => {
        if (state === "closed") throw new SseError("ERR_SSE_CLOSED", "The log is closed");
        if (this.isBroken) throw new SseError("ERR_SSE_LOG_REJECTED", "The network is down");
        const known = this.#deduped.get(dedupeKey);
        if (known !== undefined) return known;
        const entry = { ...message, channel, id: idOf(this.entries.length + 1) };
        this.entries.push(entry);
        if (dedupeKey !== "") this.#deduped.set(dedupeKey, entry.id);
        setImmediate(() => {
          for (const one of this.#followers) one.entries([entry]);
        });
        return entry.id;
      },
      past: {
        find: async (ids) =>
          ids.map((id) => {
            const place = numberOf(id) - 100_000_000;
            return place >= 0 && place <= this.entries.length ? { missedMs: 0 } : "unknown";
          }),
        read: async (after, upTo, { hasUpTo = false } = {}) => {
          const first = after === undefined ? 0 : numberOf(after) - 100_000_000;
          const last = numberOf(upTo) - 100_000_000;
          if (!(first >= 0 && first <= this.entries.length)) return "unknown";
          // Pages of three, plus the entry up to which it is read.
          const start = Math.max(first, last - 4);
          const end = Math.max(start, hasUpTo ? last - 1 : last);
          const page = this.entries.slice(start, end).map((entry) => ({ ...entry, ageMs: 0 }));
          return { entries: page, isLast: start === first };
        },
        sync: () =>
          new Promise((resolve) => {
            setImmediate(resolve);
          }),
      },
      compare: (a, b) => numberOf(a) - numberOf(b),
      health: () => ({ state, lagMs: 0, reconnects: 0 }),
      close: async () => {
        state = "closed";
        if (follower !== undefined) this.#followers.delete(follower);
      },
    };
  }
}
