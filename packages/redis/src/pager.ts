/** Reads the past of the stream for clients that come back, over a connection that is there only meanwhile. */

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

/** Why there is no page. */
type Missing = "trimmed" | "unknown";

/** If nothing is received for so many milliseconds, no reply will come. */
const SILENCE_MS = 5_000;
/** The connection is closed when nothing was asked for so many milliseconds. */
const IDLE_MS = 250;

/** A question that waits for its answer. */
interface Question {
  readonly isWanted: () => boolean;
  /** Gives it up. */
  readonly drop: (error: unknown) => void;
}

/** The reason of a question that is given up; never leaves the pager. */
const GIVEN_UP = new Error("No caller waits for the answer any more");

/**
 * Reads the past of the stream, page by page, from new to old.
 *
 * Each page begins with an entry that the caller has. As long as that one is there, what lies before it and is there
 * too is complete. A trim that overtakes the reading is found out this way.
 *
 * It has a connection of its own, so that a page never delays a publish. It is opened when something is asked and closed
 * soon after the last answer.
 */
export class Pager implements Pick<LogPast, "find" | "read"> {
  readonly #commands: Commands;
  readonly #locator: Locator;
  readonly #budget = new PageBudget();
  readonly #questions: Set<Question> = new Set();
  /** Set from a question until a while after the last answer. */
  #connection: Connection | undefined;
  /** Closes the connection; running exactly while there is one and no question. */
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(key: string, locator: Locator) {
    this.#commands = new Commands(key);
    this.#locator = locator;
  }

  /** As `LogPast.find`. */
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
      // It was good in the history that is lost, and may lack a part of it.
      if (markId !== undefined && compareStreamIds(place.streamId, markId) < 0) return "unknown";
      const { nextId } = lookup;
      return { missedMs: nextId === undefined ? 0 : Math.max(0, now - timeOf(nextId)) };
    });
  }

  /** As `LogPast.read`. */
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
      // Entries of other programs are no events: a page of nothing else would lead nowhere.
      const isLast = page.oldest === undefined;
      if (isLast || events.some(({ id }) => id !== upTo)) {
        return { entries: events.toReversed(), isLast };
      }
      top = page.oldest as Place;
    }
  }

  /** @returns Redis' own id of the newest entry; `undefined` if there is none. */
  newestId(query: PastQuery = {}): Promise<string | undefined> {
    return this.#ask(query, (send) => this.#commands.newestId(send));
  }

  /** Fails what is being asked, and whatever is asked from now on. */
  close(): void {
    this.#isClosed = true;
    for (const { drop } of this.#questions) drop(closedError());
    this.#rest();
  }

  /**
   * Asks Redis something, again and again while it cannot be reached.
   *
   * @returns `undefined` if it was given up.
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
      // The reader has a connection to the same server, and reports what is wrong with it.
      down: () => {
        // A server that cannot be reached says nothing about the pages.
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
      // What lies after a place does not have the entry there.
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
        // What lies before it is there, but there was more of it once. A caller that reads as far back as it goes
        // stops here.
        return from === undefined ? { events, oldest: undefined } : "unknown";
      }
    }
    const last = entries.at(-1);
    return { events, oldest: page.isMore && last !== undefined ? placeOf(last) : undefined };
  }
}

/** What lies between two places, from new to old. */
interface Page {
  readonly events: readonly PastEntry[];
  /** Where the next page begins; `undefined` if there is none. */
  readonly oldest: Place | undefined;
}

/** An id without an entry: it was dropped, or never given. */
function missing({ streamId }: Place, firstId: string | undefined): Missing {
  return firstId === undefined || compareStreamIds(streamId, firstId) < 0 ? "trimmed" : "unknown";
}

function closedError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The log is closed");
}
