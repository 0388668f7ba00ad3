/** Reads the stream's past for returning clients, over a connection that exists only meanwhile. */

import { SseError } from "@tidewire/core";
import type { FoundId, LogPage, LogPast, PastEntry, PastQuery, PastRoom } from "@tidewire/core/log";
import { isElsewhere, isRefusal } from "./client.js";
import type { Client } from "./client.js";
import { Commands } from "./commands.js";
import type { Send } from "./commands.js";
import { Connection } from "./connection.js";
import { compareStreamIds, decodeEntry, isMark, parseId, placeOf, timeOf } from "./entry.js";
import type { Place } from "./entry.js";
import type { Locator } from "./locator.js";
import { PageBudget } from "./page-budget.js";

/** Reasons for a missing page. */
type Missing = "trimmed" | "unknown";

/** Time without received data after which no reply will come, in milliseconds. */
const SILENCE_MS = 5_000;
/** Time without queries after which the connection is closed, in milliseconds. */
const IDLE_MS = 250;

/** A pending query. */
interface Question {
  readonly isWanted: () => boolean;
  /** Abandons it. */
  readonly drop: (error: unknown) => void;
}

/** Reason of an abandoned query; never leaves the pager. */
const GIVEN_UP = new Error("No caller waits for the answer any more");

/**
 * Reads the stream's past page by page, from newest to oldest.
 *
 * Each page begins with an entry that the caller has. While that entry exists, the entries before it are complete as
 * far back as they exist. This detects a trim that overtakes the reading.
 *
 * It has a separate connection, so that a page never delays a publish. The connection opens on the first query and
 * closes soon after the last answer.
 */
export class Pager implements Pick<LogPast, "find" | "read"> {
  readonly #commands: Commands;
  readonly #locator: Locator;
  readonly #budget = new PageBudget();
  readonly #questions: Set<Question> = new Set();
  /** Set from the first query until a while after the last answer. */
  #connection: Connection | undefined;
  /** Closes the connection. Runs exactly while there is a connection and no query. */
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(key: string, locator: Locator) {
    this.#commands = new Commands(key);
    this.#locator = locator;
  }

  /** Same as `LogPast.find`. */
  async find(
    ids: readonly string[],
    query: PastQuery = {},
  ): Promise<readonly FoundId[] | undefined> {
    const places = ids.map(parseId);
    const streamIds = places.flatMap((place) => place?.streamId ?? []);
    if (streamIds.length === 0) return places.map(() => "unknown");
    const reply = await this.#ask(query, (send) => this.#commands.find(send, streamIds));
    if (reply === undefined) return undefined;
    const { now, firstId, markId, found } = reply;
    let at = 0;
    return places.map((place): FoundId => {
      if (place === undefined) return "unknown";
      const lookup = found[at++];
      if (lookup === undefined || lookup.tag !== place.tag) return missing(place, firstId);
      // The id belongs to the lost history, and a part of that may be missing.
      if (markId !== undefined && compareStreamIds(place.streamId, markId) < 0) return "unknown";
      const { nextId } = lookup;
      return { missedMs: nextId === undefined ? 0 : Math.max(0, now - timeOf(nextId)) };
    });
  }

  /** Same as `LogPast.read`. */
  async read(
    after: string | undefined,
    upTo: string,
    { hasUpTo = false, maxEntries, maxBytes, isWanted }: PastRoom = {},
  ): Promise<LogPage | Missing | undefined> {
    const from = after === undefined ? undefined : parseId(after);
    const to = parseId(upTo);
    if (to === undefined || (after !== undefined && from === undefined)) return "unknown";
    const events: PastEntry[] = [];
    for (let top = to; ;) {
      const room = { hasUpTo: hasUpTo || top !== to, maxEntries, maxBytes };
      const page = await this.#ask({ isWanted }, (send) => this.#request(send, from, top, room));
      if (page === undefined || typeof page === "string") return page;
      events.push(...page.events);
      // Entries of other programs are not events: a page of only those still has to lead to the next one.
      const isLast = page.oldest === undefined;
      if (isLast || events.some(({ id }) => id !== upTo)) {
        return { entries: events.toReversed(), isLast };
      }
      top = page.oldest as Place;
    }
  }

  /** @returns The Redis id of the newest entry; `undefined` if there is none. */
  newestId(query: PastQuery = {}): Promise<string | undefined> {
    return this.#ask(query, (send) => this.#commands.newestId(send));
  }

  /** Rejects all pending and future queries. */
  close(): void {
    this.#isClosed = true;
    for (const { drop } of this.#questions) drop(closedError());
    this.#rest();
  }

  /**
   * Queries Redis, retrying while it cannot be reached.
   *
   * @returns `undefined` if it was abandoned.
   */
  async #ask<Answer>(
    { isWanted = () => true }: PastQuery,
    request: (send: Send) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    if (this.#isClosed) throw closedError();
    let question: Question | undefined;
    const dropped = new Promise<never>((_resolve, reject) => {
      question = { isWanted, drop: reject };
      this.#questions.add(question);
    });
    clearTimeout(this.#idle);
    try {
      return await Promise.race([dropped, this.#answer(request)]);
    } catch (error) {
      if (error === GIVEN_UP) return undefined;
      throw error;
    } finally {
      if (question !== undefined) this.#questions.delete(question);
      if (this.#questions.size === 0) {
        this.#idle = setTimeout(() => this.#rest(), IDLE_MS).unref();
      }
    }
  }

  async #answer<Answer>(request: (send: Send) => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const connection = (this.#connection ??= this.#connect());
      const client = await new Promise<Client>((resolve, reject) => {
        connection.use(resolve, reject, true);
      });
      const deadline = connection.expectData(SILENCE_MS);
      try {
        const answer = await request(async <Reply>(args: readonly string[]): Promise<Reply> => {
          const reply = (await client.sendCommand(args)) as Reply;
          connection.heard();
          return reply;
        });
        connection.succeed();
        return answer;
      } catch (error) {
        if (isElsewhere(error)) connection.fail(error);
        else if (isRefusal(error) || this.#isClosed) throw error;
      } finally {
        deadline.clear();
      }
    }
  }

  #connect(): Connection {
    let isUp = false;
    const connection = new Connection(this.#locator, true, {
      up: () => void (isUp = true),
      // The reader has a connection to the same server and reports its errors.
      down: () => {
        // A server that cannot be reached says nothing about page sizes.
        if (isUp) this.#budget.failed();
        isUp = false;
        for (const { isWanted, drop } of this.#questions) if (!isWanted()) drop(GIVEN_UP);
      },
    });
    return connection;
  }

  #rest(): void {
    clearTimeout(this.#idle);
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #request(
    send: Send,
    from: Place | undefined,
    top: Place,
    { hasUpTo, maxEntries = Infinity, maxBytes = Infinity }: PastRoom,
  ): Promise<Page | Missing> {
    const askedAt = performance.now();
    const page = await this.#commands.readBack(send, {
      top: top.streamId,
      from: from?.streamId,
      entries: Math.max(1, Math.min(this.#budget.entries, maxEntries)),
      bytes: Math.min(this.#budget.bytes, Math.max(0, maxBytes)),
      // The entries after a place do not include the entry at it.
      hasTop: hasUpTo !== true && from?.streamId !== top.streamId,
    });
    this.#budget.took(page.entries, performance.now() - askedAt);
    if (page.topTag !== top.tag) return "trimmed";
    if (from !== undefined && page.fromTag !== from.tag) return missing(from, page.firstId);
    const entries = page.top === undefined ? page.entries : [page.top, ...page.entries];
    const events: PastEntry[] = [];
    for (const entry of entries) {
      const event = decodeEntry(entry);
      if (event !== undefined) {
        events.push({ ...event, ageMs: Math.max(0, page.now - timeOf(entry[0])) });
      } else if (isMark(entry)) {
        // The entries before it exist, but older ones are gone. A caller that reads as far back as possible stops here.
        return from === undefined ? { events, oldest: undefined } : "unknown";
      }
    }
    const last = entries.at(-1);
    return { events, oldest: page.isMore && last !== undefined ? placeOf(last) : undefined };
  }
}

/** Entries between two places, from newest to oldest. */
interface Page {
  readonly events: readonly PastEntry[];
  /** Start of the next page; `undefined` if there is none. */
  readonly oldest: Place | undefined;
}

/** An id without an entry: the entry was dropped or never existed. */
function missing({ streamId }: Place, firstId: string | undefined): Missing {
  return firstId === undefined || compareStreamIds(streamId, firstId) < 0 ? "trimmed" : "unknown";
}

function closedError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The log is closed");
}
