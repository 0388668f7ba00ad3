/** Checks that the options of hubs, streams and calls share. */

import { SseError, describeValue, quoteName, suggest } from "../errors.js";

/** Longest delay that a timer of Node takes. */
export const MAX_MS: number = 2_147_483_647;

/**
 * Checks an option that is a number of milliseconds.
 *
 * @param name - The option's name.
 * @param value - What was given.
 * @returns The value.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it is not a whole number from 0 to 2 147 483 647.
 */
export function checkMilliseconds(name: string, value: unknown): number {
  const expected = milliseconds(0, value);
  if (expected !== undefined) throw unexpected(name, expected, value);
  return value as number;
}

/**
 * Checks that an option is one of those that there are.
 *
 * @param name - What was given.
 * @param names - Those that there are.
 * @param path - Name of the option that they belong to; absent for options of a function.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` otherwise, with the name that was probably meant.
 */
export function checkName(name: string, names: readonly string[], path?: string): void {
  if (names.includes(name)) return;
  const prefix = path === undefined ? "" : `${path}.`;
  throw invalidOption(`Unknown option ${quoteName(prefix, name)}. ${suggest(name, names, prefix)}`);
}

/** @returns What was expected instead; `undefined` if the value is a whole number that is large enough. */
export function atLeast(least: number, value: unknown, prefix: string = ""): string | undefined {
  return Number.isSafeInteger(value) && (value as number) >= least
    ? undefined
    : `${prefix}a whole number >= ${least}`;
}

/** As {@link atLeast}, for a delay that a timer takes. */
export function milliseconds(
  least: number,
  value: unknown,
  prefix: string = "",
): string | undefined {
  const expected = atLeast(least, value, prefix);
  if (expected !== undefined || (value as number) <= MAX_MS) return expected;
  return `${prefix}a whole number from ${least} to ${MAX_MS}`;
}

/** An option that has another value than it may. */
export function unexpected(name: string, expected: string, value: unknown): SseError {
  const verb = expected.startsWith("to ") ? "" : "to be ";
  return invalidOption(`Expected \`${name}\` ${verb}${expected}, got ${describeValue(value)}`);
}

/** The error of every invalid option. */
export function invalidOption(message: string): SseError {
  return new SseError("ERR_SSE_INVALID_OPTION", message);
}
