/** Passes background errors to the application. */

import type { ErrorStage, ResolvedOptions } from "../options/hub.js";

/** Reports an error that no caller can catch. Never throws. */
export function reportTo(
  { onError }: Pick<ResolvedOptions, "onError">,
  error: unknown,
  stage: ErrorStage,
): void {
  callOnError(onError, error, { stage });
}

/**
 * Calls an `onError` option. Never throws: if the function fails, its error is printed.
 *
 * @param context - Second argument of the function.
 */
export function callOnError<Context>(
  onError: (error: unknown, context: Context) => void,
  error: unknown,
  context: Context,
): void {
  const failed = (fault: unknown): void => {
    // The last resort: a failing reporter has nowhere else to report to.
    console.error("tidewire: the option onError failed:", fault);
  };
  try {
    const result: unknown = onError(error, context);
    if (result instanceof Promise) result.catch(failed);
  } catch (fault) {
    failed(fault);
  }
}
