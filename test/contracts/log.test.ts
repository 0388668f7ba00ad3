import { SseError, memoryLog } from "@tidewire/core";
import type { Log, LogEntry, LogFollower } from "@tidewire/core";
import { logContract } from "./log.js";

logContract({
  name: "memoryLog()",
  open: async () => ({ log: memoryLog() }),
});

/** A history that several logs share, told of in later turns: as a log over a network, without one. */
class SharedHistory {
  readonly entries: LogEntry[] = [];
  readonly #followers: Set<LogFollower> = new Set();
  failNext = false;

  log(): Log {
    let follower: LogFollower | undefined;
    let isClosed = false;
    const numberOf = (id: string): number => (/^t[1-9]\d{8}$/.test(id) ? Number(id.slice(1)) : NaN);
    const idOf = (count: number): string => `t${100_000_000 + count}`;
    return {
      start: async (given) => {
        follower = given;
        this.#followers.add(given);
        return idOf(this.entries.length);
      },
      append: async (channel, message) => {
        if (isClosed) throw new SseError("ERR_SSE_CLOSED", "The log is closed");
        if (this.failNext) {
          this.failNext = false;
          throw new Error("The network is down");
        }
        const entry = { ...message, channel, id: idOf(this.entries.length + 1) };
        this.entries.push(entry);
        setImmediate(() => {
          for (const one of this.#followers) one.entries([entry]);
        });
        return entry.id;
      },
      read: async (after, limit) => {
        const index = numberOf(after) - 100_000_000;
        if (!(index >= 0 && index <= this.entries.length)) return undefined;
        return this.entries.slice(index, index + limit);
      },
      compare: (a, b) => numberOf(a) - numberOf(b),
      close: async () => {
        isClosed = true;
        if (follower !== undefined) this.#followers.delete(follower);
      },
    };
  }
}

// Without it what the contract says of several followers and of rejected appends would be tried by no log in memory.
logContract({
  name: "of a history that is shared",
  open: async () => {
    const history = new SharedHistory();
    return {
      log: history.log(),
      other: () => history.log(),
      breakNextAppend: () => {
        history.failNext = true;
      },
    };
  },
});
