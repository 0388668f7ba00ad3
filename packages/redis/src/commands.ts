/** The Lua scripts as functions: their arguments and the meaning of their replies. */

import { legalTag } from "./entry.js";
import type { Place, StreamEntry } from "./entry.js";
import { siblingKey } from "./key.js";
import { FIND, INSPECT, MARK, NEWEST_ID, READ_BACK, READ_ON, START } from "./scripts.js";

/** Sends one command and returns its reply. */
export type Send = <Reply>(args: readonly string[]) => Promise<Reply>;

/** The tail of a stream. */
export interface Tail extends Place {
  /** Number of entries ever added; `undefined` if Redis does not count them. */
  readonly added: number | undefined;
  /** The newest mark of a lost history; `""` if the stream holds none. */
  readonly mark: string;
}

/** State of a stream. Without `lastId` the stream does not exist. */
export interface StreamInfo {
  readonly lastId?: string | undefined;
  readonly firstId?: string | undefined;
  readonly added?: number | undefined;
}

/** Entries after a place. */
export interface PageOn {
  /** Tag of the entry at the place. */
  readonly tag: string;
  readonly entries: readonly StreamEntry[];
  /** Whether the first entry comes without its fields except for the tag. */
  readonly isBare: boolean;
  readonly isMore: boolean;
}

/** Entries before a place. */
export interface PageBack {
  /** Tag of the entry at the newer place; `undefined` if there is none. */
  readonly topTag: string | undefined;
  /** Same for the older place. */
  readonly fromTag: string | undefined;
  /** Oldest id of the stream; `undefined` if it is empty. */
  readonly firstId: string | undefined;
  /** Milliseconds on Redis' clock. */
  readonly now: number;
  readonly isMore: boolean;
  /** The entry at the newer place, if requested. */
  readonly top: StreamEntry | undefined;
  /** From newest to oldest. */
  readonly entries: readonly StreamEntry[];
}

/** Arguments of `readBack`. */
export interface BackRange {
  readonly top: string;
  /** `undefined` for the start of the stream. */
  readonly from: string | undefined;
  readonly entries: number;
  readonly bytes: number;
  readonly hasTop: boolean;
}

/** An entry and the id of the next one. */
export interface Lookup {
  readonly tag: string;
  /** `undefined` for the newest entry. */
  readonly nextId: string | undefined;
}

/** Result of looking up ids. */
export interface Lookups {
  readonly now: number;
  readonly firstId: string | undefined;
  /** Redis' id of the newest mark; `undefined` if there is none. */
  readonly markId: string | undefined;
  /** One result per id; `undefined` if there is no such entry. */
  readonly found: readonly (Lookup | undefined)[];
}

/** The commands of one stream. */
export class Commands {
  readonly #key: string;
  /** Keys: the stream and its newest mark. */
  readonly #withMark: readonly string[];

  constructor(key: string) {
    this.#key = key;
    this.#withMark = [key, siblingKey(key, "mark")];
  }

  /** @returns The tail of the stream, which then has at least one entry. */
  async start(send: Send, tag: string): Promise<Tail> {
    return tailOf(await send(evaluate(START, this.#withMark, tag)));
  }

  /**
   * @param known - Newest mark that the caller has read.
   * @param lost - Last place of the caller.
   * @returns The tail of the stream, with a mark that the caller has not read yet.
   */
  async mark(send: Send, known: string, tag: string, lost: string): Promise<Tail> {
    return tailOf(await send(evaluate(MARK, this.#withMark, known, tag, lost)));
  }

  async inspect(send: Send): Promise<StreamInfo> {
    const [lastId, firstId, added] = await send<string[]>(evaluate(INSPECT, [this.#key]));
    return { lastId, firstId: textOf(firstId), added: countOf(added) };
  }

  /**
   * @param heaviest - Most bytes of the first entry. A larger one comes without its fields.
   * @returns `undefined` if there is no entry with the id.
   */
  async readOn(
    send: Send,
    id: string,
    entries: number,
    bytes: number,
    heaviest: number,
  ): Promise<PageOn | undefined> {
    const limits = [
      String(entries),
      String(bytes),
      heaviest === Infinity ? "inf" : String(heaviest),
    ];
    const [tag, more, isBare, page] = await send<OnReply>(
      evaluate(READ_ON, [this.#key], id, ...limits),
    );
    if (tag === null) return undefined;
    return { tag: legalTag(tag), isMore: more === 1, isBare: isBare === 1, entries: page };
  }

  async readBack(
    send: Send,
    { top, from = "", entries, bytes, hasTop }: BackRange,
  ): Promise<PageBack> {
    const limits = [String(entries), String(bytes), hasTop ? "1" : "0"];
    const [topTag, fromTag, firstId, time, more, topEntry, page] = await send<BackReply>(
      evaluate(READ_BACK, [this.#key], top, from, ...limits),
    );
    return {
      topTag: topTag === null ? undefined : legalTag(topTag),
      fromTag: fromTag === null ? undefined : legalTag(fromTag),
      firstId: textOf(firstId),
      now: timeOfReply(time),
      isMore: more === 1,
      top: topEntry ?? undefined,
      entries: page,
    };
  }

  async find(send: Send, ids: readonly string[]): Promise<Lookups> {
    const [time, firstId, mark, found] = await send<FindReply>(
      evaluate(FIND, this.#withMark, ...ids),
    );
    return {
      now: timeOfReply(time),
      firstId: textOf(firstId),
      markId: textOf(mark)?.split("~")[0],
      found: found.map((one) =>
        one === null ? undefined : { tag: legalTag(one[0]), nextId: textOf(one[1]) },
      ),
    };
  }

  /** @returns Redis' id of the newest entry; `undefined` if there is none. */
  async newestId(send: Send): Promise<string | undefined> {
    return (await send<string | null>(evaluate(NEWEST_ID, [this.#key]))) ?? undefined;
  }
}

/** @returns The command that runs a script. */
export function evaluate(
  script: string,
  keys: readonly string[],
  ...args: readonly string[]
): string[] {
  return ["EVAL", script, String(keys.length), ...keys, ...args];
}

type OnReply = [tag: string | null, more: number, isBare: number, page: StreamEntry[]];

type BackReply = [
  topTag: string | null,
  fromTag: string | null,
  firstId: string,
  time: [string, string],
  more: number,
  top: StreamEntry | null,
  page: StreamEntry[],
];

type FindReply = [
  time: [string, string],
  firstId: string,
  mark: string,
  found: ([tag: string, nextId: string] | null)[],
];

function tailOf([streamId, tag, added, mark]: [string, string, string, string]): Tail {
  return { streamId, tag: legalTag(tag), added: countOf(added), mark };
}

function textOf(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function countOf(text: string | undefined): number | undefined {
  return text === undefined || text === "" ? undefined : Number(text);
}

function timeOfReply([seconds, microseconds]: readonly [string, string]): number {
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}
