/** The control entries with which nodes tell each other who is present. */

import { describeValue } from "../errors.js";
import type { LogEntry, LogMessage } from "../log/log.js";
import { invalidOption } from "../options/check.js";
import { shownBy } from "../options/presence.js";

/** Channel of the entries that concern nodes. */
export const NODES_CHANNEL = "~presence";

/** Most characters of identities in one entry, as JSON. */
export const MOST_LENGTH = 16_384;
/** Most identities in one entry. */
const MOST_IDENTITIES = 500;

/** Identities of a node join or leave a channel: an entry of the channel's presence channel. */
export interface ChangeEntry {
  /** The node where the identities are. */
  readonly node: string;
  /** The node that says so in its place, because it is gone. */
  readonly by?: string | undefined;
  readonly join?: readonly string[] | undefined;
  readonly leave?: readonly string[] | undefined;
}

/** Something that concerns a node: an entry of {@link NODES_CHANNEL}. Without any of the optional fields: it is alive. */
export interface NodeEntry {
  readonly node: string;
  /** The node that answers in its place, because it is silent. */
  readonly by?: string | undefined;
  /** With `by`: for how many milliseconds more its identities are present. */
  readonly forMs?: number | undefined;
  /**
   * It asks the others who is present. `"new"`: it has started, or starts over, so nothing that it told before counts.
   */
  readonly hello?: "new" | "again" | undefined;
  /** It closes. Its clients have this many milliseconds to come back elsewhere. */
  readonly bye?: number | undefined;
  /** The identities that are present through it, for a node that asked. */
  readonly answer?: Answer | undefined;
}

/** A part of an answer. */
export interface Answer {
  readonly to: string;
  readonly present: readonly (readonly [channel: string, identities: readonly string[]])[];
  /** All nodes that it knows. Absent from all parts but the last. */
  readonly nodes?: readonly string[] | undefined;
}

/** Encodes an entry for the log. */
export function encodeEntry(entry: ChangeEntry | NodeEntry): LogMessage {
  return { data: JSON.stringify(entry) };
}

/**
 * Decodes an entry of {@link NODES_CHANNEL}.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if another program has written an invalid one.
 */
export function decodeNodeEntry(entry: LogEntry): NodeEntry {
  const decoded = decode(entry);
  const { by, forMs, hello, bye, answer } = decoded as { [Field in keyof NodeEntry]?: unknown };
  const isValid =
    (hello === undefined || hello === "new" || hello === "again") &&
    (bye === undefined || typeof bye === "number") &&
    (by === undefined ? forMs === undefined : typeof by === "string" && answer !== undefined) &&
    (forMs === undefined || typeof forMs === "number") &&
    (answer === undefined || isAnswer(answer));
  if (!isValid) throw invalid(entry);
  return decoded as NodeEntry;
}

/**
 * Decodes an entry of a presence channel.
 *
 * @returns `undefined` if it is an entry of another channel.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if another program has written an invalid one.
 */
export function decodeChange(entry: LogEntry): (ChangeEntry & { channel: string }) | undefined {
  const channel = shownBy(entry.channel);
  if (channel === undefined) return undefined;
  const decoded = decode(entry);
  const { by, join, leave } = decoded as { [Field in keyof ChangeEntry]?: unknown };
  const isValid =
    (by === undefined || (typeof by === "string" && leave !== undefined)) &&
    (join === undefined || isNames(join)) &&
    (leave === undefined || isNames(leave)) &&
    (join === undefined) !== (leave === undefined);
  if (!isValid) throw invalid(entry);
  return { ...(decoded as ChangeEntry), channel };
}

/** @returns The identities of a change. */
export function namesOf({ join, leave }: ChangeEntry): readonly string[] {
  return join ?? leave ?? [];
}

/** Divides identities into lists for one entry each. */
export function* partsOf(
  identities: Iterable<string>,
  mostLength: number = MOST_LENGTH,
): Iterable<string[]> {
  let part: string[] = [];
  let length = 0;
  for (const identity of identities) {
    const size = JSON.stringify(identity).length + 1;
    length += size;
    if (part.length > 0 && (length > mostLength || part.length === MOST_IDENTITIES)) {
      yield part;
      part = [];
      length = size;
    }
    part.push(identity);
  }
  if (part.length > 0) yield part;
}

function decode(entry: LogEntry): { readonly node: string } {
  let decoded: unknown;
  try {
    decoded = JSON.parse(entry.data);
  } catch {
    throw invalid(entry);
  }
  if (typeof decoded !== "object" || decoded === null) throw invalid(entry);
  if (typeof (decoded as { node?: unknown }).node !== "string") throw invalid(entry);
  return decoded as { node: string };
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function isAnswer(value: unknown): value is Answer {
  if (typeof value !== "object" || value === null) return false;
  const { to, present, nodes } = value as { [Field in keyof Answer]?: unknown };
  return (
    typeof to === "string" &&
    (nodes === undefined || isNames(nodes)) &&
    Array.isArray(present) &&
    present.every(
      (one: unknown) => Array.isArray(one) && typeof one[0] === "string" && isNames(one[1]),
    )
  );
}

function invalid({ channel, data }: LogEntry): Error {
  return invalidOption(
    `Expected an entry of "${channel}" to say who is present, got ${describeValue(data)}`,
  );
}
