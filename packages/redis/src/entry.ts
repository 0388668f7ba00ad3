/** The format of the stream: the content of its entries, and the client-facing ids. */

import { randomInt } from "node:crypto";
import type { LogEntry, LogMessage } from "@tidewire/core/log";

/** A place in the stream: the id assigned by Redis, and the tag of the entry there. */
export interface Place {
  /** Id assigned by Redis: milliseconds and a counter. */
  readonly streamId: string;
  /** Tag written by the publisher; `""` for an entry of a program that writes none. */
  readonly tag: string;
}

/** An entry as Redis returns it: its id, then alternating field names and values. */
export type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Field names. Short, because each entry repeats them. */
const FIELD = {
  tag: "t",
  channel: "c",
  event: "e",
  data: "d",
  retry: "r",
  isString: "s",
  lost: "lost",
} as const;

/** Separates Redis' id from the tag. */
const SEPARATOR = "~";
/** Number of tags: two entries with the same Redis id get the same tag once in sixteen million cases. */
const TAGS = 2 ** 24;
/** Format of a tag. */
const TAG = /^[0-9a-z]{5}$/;
/** Milliseconds and counter without leading zeros, so that a longer number is a larger one. */
const ID = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})~([0-9a-z]{5}|)$/;
/** Largest number that Redis uses. */
const MAX_UINT64 = "18446744073709551615";
/** A reconnection time as written by this package. */
const RETRY = /^\d{1,10}$/;

/** @returns A tag for a new entry. */
export function drawTag(): string {
  return randomInt(TAGS).toString(36).padStart(5, "0");
}

/**
 * Returns the client-facing id of a place.
 *
 * Redis' own id is not enough: after a failover that lost the newest entries, with a clock that is behind, new entries
 * can get ids that were used before. The tag tells them apart.
 */
export function formatId({ streamId, tag }: Place): string {
  return `${streamId}${SEPARATOR}${tag}`;
}

/** @returns The place of an id; `undefined` for text that cannot be an id of this log. */
export function parseId(id: string): Place | undefined {
  const match = ID.exec(id);
  if (match === null) return undefined;
  const [, ms = "", counter = "", tag = ""] = match;
  if (!isUint64(ms) || !isUint64(counter)) return undefined;
  return { streamId: `${ms}-${counter}`, tag };
}

/** @returns Same as `Log.compare`. */
export function compareIds(a: string, b: string): number {
  const left = parseId(a);
  const right = parseId(b);
  if (left === undefined || right === undefined) return NaN;
  const order = compareStreamIds(left.streamId, right.streamId);
  if (order !== 0 || left.tag === right.tag) return order;
  return left.tag < right.tag ? -1 : 1;
}

/** Compares two Redis ids. */
export function compareStreamIds(a: string, b: string): number {
  if (a === b) return 0;
  // Each part has up to twenty digits, too many for a number. Padded to one length, text compares the same way.
  const dash = a.indexOf("-");
  const difference = dash - b.indexOf("-");
  if (difference !== 0) return difference;
  const ms = a.slice(0, dash);
  const otherMs = b.slice(0, dash);
  if (ms !== otherMs) return ms < otherMs ? -1 : 1;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}

function isUint64(digits: string): boolean {
  return digits.length < MAX_UINT64.length || digits <= MAX_UINT64;
}

/** @returns Milliseconds in a Redis id, on the clock of Redis. */
export function timeOf(streamId: string): number {
  return Number(streamId.slice(0, streamId.indexOf("-")));
}

/** @returns The fields of an entry, as arguments of `XADD`. */
export function encodeEntry(
  tag: string,
  channel: string,
  { event, data, isString, retry }: LogMessage,
): string[] {
  const fields = [FIELD.tag, tag, FIELD.channel, channel, FIELD.data, data];
  if (isString === true) fields.push(FIELD.isString, "1");
  if (event !== undefined) fields.push(FIELD.event, event);
  if (retry !== undefined) fields.push(FIELD.retry, String(retry));
  return fields;
}

/** @returns The place of an entry. */
export function placeOf([streamId, fields]: StreamEntry): Place {
  return { streamId, tag: legalTag(valueOf(fields, FIELD.tag)) };
}

/** Whether an entry is the one at a place, not another with the same Redis id. */
export function isAt(entry: StreamEntry, { streamId, tag }: Place): boolean {
  return entry[0] === streamId && placeOf(entry).tag === tag;
}

/** @returns Number of characters in an entry's fields: roughly its size. */
export function weightOf([, fields]: StreamEntry): number {
  let weight = 0;
  for (const field of fields) weight += field.length;
  return weight;
}

/** Whether an entry is the mark that a node leaves when it detects that the history was replaced. */
export function isMark([, fields]: StreamEntry): boolean {
  // Events of other programs may have a field of that name.
  if (valueOf(fields, FIELD.channel) !== undefined) return false;
  const lost = valueOf(fields, FIELD.lost);
  return lost !== undefined && parseId(`${lost}${SEPARATOR}`) !== undefined;
}

/** @returns The event of an entry; `undefined` if it is not an event. */
export function decodeEntry([streamId, fields]: StreamEntry): LogEntry | undefined {
  let tag: string | undefined;
  let channel: string | undefined;
  let event: string | undefined;
  let data: string | undefined;
  let retry: string | undefined;
  let isString = false;
  // If a name occurs several times, the first value counts, as in the scripts.
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const value = fields[at + 1];
    const name = fields[at];
    if (name === FIELD.tag) tag ??= value;
    else if (name === FIELD.channel) channel ??= value;
    else if (name === FIELD.event) event ??= value;
    else if (name === FIELD.data) data ??= value;
    else if (name === FIELD.retry) retry ??= value;
    else if (name === FIELD.isString) isString = true;
  }
  if (channel === undefined || data === undefined) return undefined;
  return {
    id: formatId({ streamId, tag: legalTag(tag) }),
    channel,
    event,
    data,
    isString: isString || undefined,
    // `NaN` is reported later as an entry that cannot be sent.
    retry: retry === undefined ? undefined : RETRY.test(retry) ? Number(retry) : NaN,
  };
}

/** Other programs may have written anything: text that cannot be part of an id is not a tag. */
export function legalTag(value: string | undefined): string {
  return value !== undefined && TAG.test(value) ? value : "";
}

function valueOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at] === name) return fields[at + 1];
  }
  return undefined;
}
