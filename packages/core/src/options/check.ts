/** Checks shared by the options of hubs, streams and calls. */

import { SseError, describeValue, quoteName, suggest } from "../errors.js";

/** Longest delay of a Node timer. */
export const MAX_MS: number = 2_147_483_647;

/**
 * Checks an option that is a number of milliseconds.
 *
 * @param name - The option's name.
 * @param value - Value to check.
 * @returns The value.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is not a whole number from 0 to 2 147 483 647.
 */
export function checkMilliseconds(name: string, value: unknown): number {
  const expected = milliseconds(0, value);
  if (expected !== undefined) throw unexpected(name, expected, value);
  return value as number;
}

/**
 * Checks the name of an option.
 *
 * @param name - Name to check.
 * @param names - Valid names.
 * @param path - Option that contains it; absent for options of a function.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if the name is unknown, with a suggestion.
 */
export function checkName(name: string, names: readonly string[], path?: string): void {
  if (names.includes(name)) return;
  const prefix = path === undefined ? "" : `${path}.`;
  throw invalidOption(`Unknown option ${quoteName(prefix, name)}. ${suggest(name, names, prefix)}`);
}

/** @returns The expectation for the error message; `undefined` if the value is a whole number that is large enough. */
export function atLeast(least: number, value: unknown, prefix: string = ""): string | undefined {
  return Number.isSafeInteger(value) && (value as number) >= least
    ? undefined
    : `${prefix}a whole number >= ${least}`;
}

/** Same as {@link atLeast}, for a timer delay. */
export function milliseconds(
  least: number,
  value: unknown,
  prefix: string = "",
): string | undefined {
  const expected = atLeast(least, value, prefix);
  if (expected !== undefined || (value as number) <= MAX_MS) return expected;
  return `${prefix}a whole number from ${least} to ${MAX_MS}`;
}

/** Creates the error for an option with an invalid value. */
export function unexpected(name: string, expected: string, value: unknown): SseError {
  const verb = expected.startsWith("to ") ? "" : "to be ";
  return invalidOption(`Expected \`${name}\` ${verb}${expected}, got ${describeValue(value)}`);
}

/** Creates an `ERR_SSE_INVALID_OPTION` error. */
export function invalidOption(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
