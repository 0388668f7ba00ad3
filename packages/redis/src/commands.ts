/** The scripts as functions: what each is given, and what its reply means. */

import { legalTag } from "./entry.js";
import type { Place, StreamEntry } from "./entry.js";
import { siblingKey } from "./key.js";
import { FIND, INSPECT, MARK, NEWEST_ID, READ_BACK, READ_ON, START } from "./scripts.js";

/** Sends one command and gives its reply. */
export type Send = <Reply>(args: readonly string[]) => Promise<Reply>;

/** Where a stream stands. */
export interface Tail extends Place {
  /** Number of entries that were ever added; `undefined` where Redis does not count. */
  readonly added: number | undefined;
  /** The newest mark of a lost history; `""` if there is none. */
  readonly mark: string;
}

/** What Redis says of a stream; without `lastId` there is no stream. */
export interface StreamInfo {
  readonly lastId?: string | undefined;
  readonly firstId?: string | undefined;
  readonly added?: number | undefined;
}

/** What lies behind a place. */
export interface PageOn {
  /** Tag of the entry at the place. */
  readonly tag: string;
  readonly entries: readonly StreamEntry[];
  /** Whether the first entry has no fields but its tag. */
  readonly isBare: boolean;
  readonly isMore: boolean;
}

/** What lies before a place. */
export interface PageBack {
  /** Tag of the entry at the newer place; `undefined` if there is none. */
  readonly topTag: string | undefined;
  /** The same for the older place. */
  readonly fromTag: string | undefined;
  /** Oldest id of the stream; `undefined` if it is empty. */
  readonly firstId: string | undefined;
  /** Milliseconds of Redis' clock. */
  readonly now: number;
  readonly isMore: boolean;
  /** The entry at the newer place, if it was asked for. */
  readonly top: StreamEntry | undefined;
  /** From new to old. */
  readonly entries: readonly StreamEntry[];
}

/** What was asked for with `readBack`. */
export interface BackRange {
  readonly top: string;
  /** `undefined` for the beginning of the stream. */
  readonly from: string | undefined;
  readonly entries: number;
  readonly bytes: number;
  readonly hasTop: boolean;
}

/** The entry with an id, and the one behind it. */
export interface Lookup {
  readonly tag: string;
  /** `undefined` for the newest entry. */
  readonly nextId: string | undefined;
}

/** What Redis knows of some ids. */
export interface Lookups {
  readonly now: number;
  readonly firstId: string | undefined;
  /** Redis' id of the newest mark; `undefined` if there is none. */
  readonly markId: string | undefined;
  /** For each id what stands there; `undefined` if nothing does. */
  readonly found: readonly (Lookup | undefined)[];
}

/** The commands of one stream. */
export class Commands {
  readonly #key: string;
  /** The stream, and where its newest mark is named. */
  readonly #withMark: readonly string[];

  constructor(key: string) {
    this.#key = key;
    this.#withMark = [key, siblingKey(key, "mark")];
  }

  /** @returns Where the stream stands, which has an entry then. */
  async start(send: Send, tag: string): Promise<Tail> {
    return tailOf(await send(evaluate(START, this.#withMark, tag)));
  }

  /**
   * @param known - The newest mark that the caller has read.
   * @param lost - Where the caller stood.
   * @returns Where the stream stands, with a mark that the caller had not read.
   */
  async mark(send: Send, known: string, tag: string, lost: string): Promise<Tail> {
    return tailOf(await send(evaluate(MARK, this.#withMark, known, tag, lost)));
  }

  async inspect(send: Send): Promise<StreamInfo> {
    const [lastId, firstId, added] = await send<string[]>(evaluate(INSPECT, [this.#key]));
    return { lastId, firstId: textOf(firstId), added: countOf(added) };
  }

  /**
   * @param heaviest - What the first entry may weigh, in bytes: a heavier one comes without its fields.
   * @returns `undefined` if no entry has the id.
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
