/** Names of runs and of places in them, in the alphabet of event ids. */

import { randomBytes } from "node:crypto";
import { SseError } from "@tidewire/core";

/** Most bytes of an encoded key, which leaves room for a generation and a number in an id of 128 bytes. */
const MAX_KEY_BYTES = 96;
/** Random bytes of a generation: 12 characters, multiple of three so that base64 needs no padding. */
const GENERATION_BYTES = 9;
/** Bytes that stand for themselves in an encoded key. `~` introduces an encoded byte. */
const PLAIN = /^[A-Za-z0-9._-]$/;
/** Half of a surrogate pair: it has no encoding in UTF-8, and all of them would become the same key. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const POSITION = /^([A-Za-z0-9._~-]+\.[A-Za-z0-9_-]+)\.([1-9]\d{0,15})$/;

/** A place in a run: directly after one of its items. */
export interface Position {
  /** Run id: `<encoded key>.<generation>`. */
  readonly runId: string;
  /** Number of the item, from 1. */
  readonly number: number;
}

/**
 * Encodes a key in the alphabet of event ids. Letters, digits, `.`, `_` and `-` stand for themselves; every other byte
 * of the key's UTF-8 becomes `~` and two hexadecimal digits.
 *
 * @param key - Any text.
 * @returns At most 96 bytes. Different keys have different encodings.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the key is not a string, is empty, has a lone surrogate or is too
 *   long when encoded.
 */
export function encodeKey(key: string): string {
  if (typeof key !== "string" || key === "" || LONE_SURROGATE.test(key)) {
    throw invalidKey("a string that is not empty and is valid Unicode");
  }
  let encoded = "";
  for (const byte of Buffer.from(key)) {
    const char = String.fromCharCode(byte);
    encoded += PLAIN.test(char) ? char : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    if (encoded.length > MAX_KEY_BYTES) {
      throw invalidKey(
        `at most ${MAX_KEY_BYTES} bytes long, where a byte other than a letter, a digit, \`.\`, \`_\` or \`-\` counts as three`,
      );
    }
  }
  return encoded;
}

/**
 * Makes the id of a new run: `<encoded key>.<generation>`. The generation is random, so that a position of an earlier
 * run is never mistaken for one of a later run of the same key, even if the store has lost all its data in between.
 *
 * @param key - Key of the run.
 * @throws {SseError} Same as {@link encodeKey}.
 */
export function createRunId(key: string): string {
  return `${encodeKey(key)}.${randomBytes(GENERATION_BYTES).toString("base64url")}`;
}

/** @returns The id of an item on the wire: `<run id>.<number>`. */
export function formatPosition(runId: string, number: number): string {
  return `${runId}.${number}`;
}

/**
 * Reads a position that a client reports.
 *
 * @param text - Any text: untrusted input from the network.
 * @returns The position; `undefined` if the text is not one.
 */
export function parsePosition(text: string): Position | undefined {
  const [, runId, number] = POSITION.exec(text) ?? [];
  return runId === undefined ? undefined : { runId, number: Number(number) };
}

function invalidKey(expected: string): SseError {
  // Keys often come from the path of a request: 400 is the answer to one that no run can have.
  return new SseError("ERR_SSE_INVALID_OPTION", `Expected the key of a run to be ${expected}`, {
    statusCode: 400,
  });
}
