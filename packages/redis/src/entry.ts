import { randomInt } from "node:crypto";
import type { LogEntry, LogMessage } from "@tidewire/core";

/** A place in the stream: the id that Redis gave, and the tag of the entry that stands there. */
export interface Place {
  /** Redis' own id: milliseconds and a counter. */
  readonly streamId: string;
  /** What the publisher has marked the entry with; `""` for an entry of a program that marks nothing. */
  readonly tag: string;
}

/** An entry as Redis replies it: its id, names and values of its fields in turn. */
export type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Names of the fields. Short: each entry holds them. */
const FIELD = {
  tag: "t",
  channel: "c",
  event: "e",
  data: "d",
  retry: "r",
  lost: "lost",
} as const;

/** Between Redis' id and the tag. */
const SEPARATOR = "~";
/** Number of tags: two entries with the same id of Redis differ in it, but for one in sixteen million. */
const TAGS = 2 ** 24;
/** What a tag may be. */
const TAG = /^[0-9a-z]{5}$/;
/** Digits of milliseconds and counter: whole numbers that are safe to compare. */
const ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})~([0-9a-z]{5}|)$/;

/** @returns A tag for a new entry. */
export function drawTag(): string {
  return randomInt(TAGS).toString(36).padStart(5, "0");
}

/**
 * Says what a client is told of a place.
 *
 * Redis' own id is not enough: after a failover that lost the newest entries, with a clock that is behind, new entries
 * get ids that were given before. The tag tells the two apart.
 */
export function formatId({ streamId, tag }: Place): string {
  return `${streamId}${SEPARATOR}${tag}`;
}

/** @returns The place that an id stands for; `undefined` for what cannot be one of this log. */
export function parseId(id: string): Place | undefined {
  const match = ID.exec(id);
  return match === null ? undefined : { streamId: `${match[1]}-${match[2]}`, tag: match[3] ?? "" };
}

/** @returns As `Log.compare`. */
export function compareIds(a: string, b: string): number {
  const left = ID.exec(a);
  const right = ID.exec(b);
  if (left === null || right === null) return NaN;
  for (const part of [1, 2]) {
    const difference = Number(left[part]) - Number(right[part]);
    if (difference !== 0) return difference;
  }
  const tag = left[3] ?? "";
  const other = right[3] ?? "";
  if (tag === other) return 0;
  return tag < other ? -1 : 1;
}

/** Compares two ids of Redis. */
export function compareStreamIds(a: string, b: string): number {
  return compareIds(`${a}${SEPARATOR}`, `${b}${SEPARATOR}`);
}

/** @returns Milliseconds of the id that Redis gave, by its clock. */
export function timeOf(streamId: string): number {
  return Number(streamId.slice(0, streamId.indexOf("-")));
}

/** @returns The fields of an entry, as `XADD` takes them. */
export function encodeEntry(
  tag: string,
  channel: string,
  { event, data, retry }: LogMessage,
): string[] {
  const fields = [FIELD.tag, tag, FIELD.channel, channel, FIELD.data, data];
  if (event !== undefined) fields.push(FIELD.event, event);
  if (retry !== undefined) fields.push(FIELD.retry, String(retry));
  return fields;
}

/** @returns The fields of an entry that is no event: a place to begin at in a stream that has none. */
export function encodeMark(tag: string): string[] {
  return [FIELD.tag, tag];
}

/**
 * @returns The fields of an entry that is no event: it says that the history was replaced, and where a node stood in
 *   the one that is lost.
 */
export function encodeFork(tag: string, { streamId }: Place): string[] {
  return [FIELD.tag, tag, FIELD.lost, streamId];
}

/**
 * @returns Where a node stood when the history was replaced, if an entry says so: whoever has seen no more than that
 *   may have missed what is lost.
 */
export function lostBefore(entry: StreamEntry): string | undefined {
  const [, fields] = entry;
  let lost: string | undefined;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at] === FIELD.lost) lost = fields[at + 1];
  }
  // An event of another program may have a field of that name.
  if (lost === undefined || decodeEntry(entry) !== undefined) return undefined;
  return parseId(`${lost}${SEPARATOR}`)?.streamId;
}

/** @returns The place of an entry. */
export function placeOf([streamId, fields]: StreamEntry): Place {
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at] === FIELD.tag) return { streamId, tag: legalTag(fields[at + 1]) };
  }
  return { streamId, tag: "" };
}

/** Whether an entry is the one at a place, and not another one with the same id of Redis. */
export function isAt(entry: StreamEntry, { streamId, tag }: Place): boolean {
  return entry[0] === streamId && placeOf(entry).tag === tag;
}

/** @returns The event of an entry; `undefined` if it is none. */
export function decodeEntry(entry: StreamEntry): LogEntry | undefined {
  const [streamId, fields] = entry;
  let tag = "";
  let channel: string | undefined;
  let event: string | undefined;
  let data: string | undefined;
  let retry: number | undefined;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const value = fields[at + 1] as string;
    const name = fields[at];
    if (name === FIELD.tag) tag = legalTag(value);
    else if (name === FIELD.channel) channel = value;
    else if (name === FIELD.event) event = value;
    else if (name === FIELD.data) data = value;
    else if (name === FIELD.retry) retry = Number(value);
  }
  if (channel === undefined || data === undefined) return undefined;
  return { id: formatId({ streamId, tag }), channel, event, data, retry };
}

/** A program that is not ours may have written anything: what cannot be part of an id is no tag. */
function legalTag(value: string | undefined): string {
  return value !== undefined && TAG.test(value) ? value : "";
}
