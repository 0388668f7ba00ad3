import { describeValue } from "../errors.js";
import { checkMilliseconds, invalidOption } from "../options/check.js";

/** Options of `hub.close`. */
export interface CloseOptions {
  /**
   * Time over which the ends of the open streams are spread, in milliseconds, so that their clients do
   * not come back to the next process all at once.
   *
   * @defaultValue `0`: at once
   */
  readonly drainMs?: number | undefined;
}

/** What a client may still take after its stream was ended, in milliseconds. */
export const GRACE_MS = 250;
/** Time between two batches of ends. */
export const BATCH_MS = 20;
/** Ends in a batch when there is no time to spread them over. */
export const BATCH_SIZE = 500;

/** @returns The option `drainMs`. */
export function checkCloseOptions(options: CloseOptions): number {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      `Expected the options of close() to be an object, got ${describeValue(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (name !== "drainMs")
      throw invalidOption(`Expected the option drainMs, got ${describeValue(name)}`);
  }
  return checkMilliseconds("drainMs", options.drainMs ?? 0);
}

/** Resolves after a time. */
export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
