/** Checks that all options of this package share. */

import { SseError } from "@tidewire/core";
import { checkName, describeValue, unexpected } from "@tidewire/core/adapter";

/**
 * Checks that options are an object and have no unknown names.
 *
 * @param call - Name of the function that got them.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if they are not, with a suggestion for an unknown name.
 */
export function checkOptions(call: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new SseError(
      "ERR_SSE_INVALID_OPTION",
      `Expected the options of ${call}() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) checkName(name, names);
}

/**
 * Throws if an option has an invalid value.
 *
 * @param expected - The expectation that it does not meet; `undefined` if it is valid.
 */
export function check(name: string, value: unknown, expected: string | undefined): void {
  if (expected !== undefined) throw unexpected(name, expected, value);
}
