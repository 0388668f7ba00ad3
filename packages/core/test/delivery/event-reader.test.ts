/** Readers on a log whose history is replaced, at moments that the property of all interleavings does not reach. */

import { setTimeout as wait } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { createHub } from "../../src/index.js";
import type { Hub } from "../../src/index.js";
import type { FoundId, Log, LogEntry, LogFollower, LogPage, PastRoom } from "../../src/log/log.js";

const HISTORY = 1_000;

/** A log with the entries `<letter>.<number>`, each with its id as data, on one channel. */
class ForkingLog implements Log {
  history: readonly string[];
  /** Answers of `find` that the test gives. */
  readonly finds: (() => void)[] = [];
  #follower: LogFollower | undefined;

  constructor(history: readonly string[]) {
    this.history = history;
  }

  readonly past: Log["past"] = {
    find: (ids) =>
      new Promise<FoundId[]>((resolve) => {
        const answer = (id: string): FoundId =>
          this.history.includes(id) ? { missedMs: 0 } : "unknown";
        this.finds.push(() => resolve(ids.map(answer)));
      }),
    read: async (after, upTo, { hasUpTo = false }: PastRoom = {}): Promise<LogPage> => {
      const from = after === undefined ? 0 : this.history.indexOf(after) + 1;
      const to = this.history.indexOf(upTo) + (hasUpTo ? 0 : 1);
      const entries = this.history.slice(from, to).map((id) => ({ ...entryOf(id), ageMs: 0 }));
      return { entries, isLast: true };
    },
    sync: async () => {},
  };

  start(follower: LogFollower): string {
    this.#follower = follower;
    return this.history.at(-1) as string;
  }

  async append(): Promise<string> {
    throw new Error("unused");
  }

  arrive(...ids: readonly string[]): void {
    this.history = [...this.history, ...ids];
    this.#follower?.entries(ids.map(entryOf));
  }

  fork(history: readonly string[]): void {
    this.history = history;
    this.#follower?.reset("fork", history.at(-1) as string);
  }

  compare(a: string, b: string): number {
    return Number(a.split(".")[1]) - Number(b.split(".")[1]);
  }

  health(): ReturnType<Log["health"]> {
    return { state: "live", lagMs: 0, reconnects: 0 };
  }

  async close(): Promise<void> {}
}

function entryOf(id: string): LogEntry {
  return { id, channel: "news", data: id, isString: true };
}

function use(log: Log): Hub {
  const hub = createHub({ log, retention: { maxEvents: HISTORY } });
  onTestFinished(() => hub.close());
  return hub;
}

it("a place in memory that an entry of an earlier history had stands for the new entry", async () => {
  const log = new ForkingLog(["a.0"]);
  const hub = use(log);
  const before = hub.read("news");
  const first = before.next();
  log.arrive("a.1", "a.2", "a.3", "a.4");
  await first;
  log.fork(["b.0", "b.1", "b.2", "b.3", "b.4", "b.5"]);
  const reading = hub.read("news", { latest: 5 });
  const data: unknown[] = [];
  for await (const item of reading) {
    data.push(item.type === "event" ? item.data : item.reason);
    if (data.length === 5) break;
  }
  expect(data).toEqual(["b.1", "b.2", "b.3", "b.4", "b.5"]);
});

it("a position that is looked up while the history is replaced, and belongs to the new one, needs no reset", async () => {
  const log = new ForkingLog(["b.1", "b.2", "b.3"]);
  const hub = use(log);
  // The pages of the start do not reach it.
  const reading = hub.read("news", { after: "b.0" });
  const next = reading.next();
  await wait(5);
  expect(log.finds).toHaveLength(1);
  log.fork(["b.0", "b.1", "b.2", "b.3", "b.4"]);
  for (let left = 10; left > 0; left--) {
    for (const answer of log.finds.splice(0)) answer();
    await wait(1);
  }
  expect((await next).value).toMatchObject({ type: "event", id: "b.1" });
});
