import type { LogPage, PastEntry } from "@tidewire/core";
import { isRefusal } from "./client.js";
import type { RedisClient } from "./client.js";
import type { Connection } from "./connection.js";
import {
  compareStreamIds,
  decodeEntry,
  isAt,
  lostBefore,
  parseId,
  placeOf,
  timeOf,
} from "./entry.js";
import type { Place, StreamEntry } from "./entry.js";
import { PageSize } from "./page-size.js";

/** Why there is no page. */
type Missing = "trimmed" | "unknown";

/** A reply that takes longer than this many milliseconds will not come. */
const READ_TIMEOUT_MS = 5_000;

/**
 * Reads the past of the stream, page by page, from new to old.
 *
 * Each page begins with an entry that the caller has: as long as that one is there, what lies before it and is there
 * too is all there is. A trim that overtakes the reading is found out so.
 */
export class Pager {
  readonly #key: string;
  readonly #connection: Connection;
  readonly #pageSize = new PageSize();

  constructor(key: string, connection: Connection) {
    this.#key = key;
    this.#connection = connection;
  }

  /** As `Log.read`. */
  async read(after: string | undefined, upTo: string): Promise<LogPage | Missing> {
    const from = after === undefined ? undefined : parseId(after);
    const to = parseId(upTo);
    if (to === undefined || (after !== undefined && from === undefined)) return "unknown";
    const events: PastEntry[] = [];
    for (let top = to; ;) {
      const page = await this.#ask((client) => this.#request(client, from, top));
      if (typeof page === "string") return page;
      events.push(...page.events);
      // Entries of other programs are no events: a page of nothing else would lead nowhere.
      const isLast = page.oldest === undefined;
      if (isLast || events.some(({ id }) => id !== upTo)) {
        return { entries: events.toReversed(), isLast };
      }
      top = page.oldest as Place;
    }
  }

  /** @returns Redis' own id of the newest entry; `undefined` if there is none. */
  async newest(): Promise<string | undefined> {
    const [newest] = await this.#ask(
      async (client) =>
        (await client.sendCommand(
          // Its fields are not asked for, but Redis gives them.
          ["XREVRANGE", this.#key, "+", "-", "COUNT", "1"],
        )) as StreamEntry[],
    );
    return newest?.[0];
  }

  /** Asks Redis something, again and again while it cannot be reached. */
  async #ask<Answer>(question: (client: RedisClient) => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const client = await new Promise<RedisClient>((resolve, reject) => {
        this.#connection.use(resolve, reject, true);
      });
      const timer = this.#connection.expectReply(READ_TIMEOUT_MS);
      try {
        return await question(client);
      } catch (error) {
        if (isRefusal(error)) throw error;
      } finally {
        clearTimeout(timer);
      }
    }
  }

  async #request(
    client: RedisClient,
    from: Place | undefined,
    top: Place,
  ): Promise<Page | Missing> {
    const { count } = this.#pageSize;
    const end = from?.streamId ?? "-";
    const send = async <Reply>(...args: string[]): Promise<Reply> =>
      (await client.sendCommand(args)) as Reply;
    const [entries, at, oldest, time] = await Promise.all([
      send<StreamEntry[]>("XREVRANGE", this.#key, top.streamId, end, "COUNT", String(count + 1)),
      // After it: a trim may come between any two commands. What is there now was there before, and so was all behind it.
      from === undefined ? [] : send<StreamEntry[]>("XRANGE", this.#key, end, end),
      send<StreamEntry[]>("XRANGE", this.#key, "-", "+", "COUNT", "1"),
      send<[string, string]>("TIME"),
    ]);
    this.#pageSize.saw(entries);
    const [newest] = entries;
    if (newest === undefined || !isAt(newest, top)) return "trimmed";
    if (from !== undefined && (at[0] === undefined || !isAt(at[0], from))) {
      const first = oldest[0]?.[0];
      const isOlder = first === undefined || compareStreamIds(from.streamId, first) < 0;
      return isOlder ? "trimmed" : "unknown";
    }
    const last = entries.at(-1);
    const isAll = entries.length <= count || (from !== undefined && last?.[0] === from.streamId);
    const now = Number(time[0]) * 1_000 + Number(time[1]) / 1_000;
    const events: PastEntry[] = [];
    for (const entry of entries) {
      // What the client has already.
      if (from !== undefined && entry[0] === from.streamId) continue;
      const event = decodeEntry(entry);
      if (event !== undefined) {
        events.push({ ...event, ageMs: Math.max(0, now - timeOf(entry[0])) });
        continue;
      }
      const lost = lostBefore(entry);
      if (lost === undefined) continue;
      // What lies before it is there, but there was more of it once. Whoever reads as far back as it goes stops here.
      if (from === undefined) return { events, oldest: undefined };
      if (compareStreamIds(from.streamId, lost) <= 0) return "unknown";
    }
    return { events, oldest: isAll || last === undefined ? undefined : placeOf(last) };
  }
}

/** One reply, from new to old. */
interface Page {
  readonly events: readonly PastEntry[];
  /** Where the next page begins; `undefined` if there is none. */
  readonly oldest: Place | undefined;
}
