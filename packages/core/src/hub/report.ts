/** Passes background errors to the application. */

import type { ErrorStage, ResolvedOptions } from "../options/hub.js";

/** Reports an error that no caller can catch. Never throws. */
export function reportTo(
  { onError }: Pick<ResolvedOptions, "onError">,
  error: unknown,
  stage: ErrorStage,
): void {
  const failed = (fault: unknown): void => {
    // The last resort: a failing reporter has nowhere else to report to.
    console.error("tidewire: the option onError failed:", fault);
  };
  try {
    const result: unknown = onError(error, { stage });
    if (result instanceof Promise) result.catch(failed);
  } catch (fault) {
    failed(fault);
  }
}
