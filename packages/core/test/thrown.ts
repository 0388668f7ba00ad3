import { SseError } from "../src/errors.js";
import type { SseErrorCode } from "../src/errors.js";

/**
 * Runs code that must throw an error of Tidewire.
 *
 * @returns Its code and message.
 */
export function thrownBy(run: () => unknown): {
  code: SseErrorCode;
  message: string;
  error: SseError;
} {
  try {
    run();
  } catch (error) {
    if (error instanceof SseError) return { code: error.code, message: error.message, error };
    throw error;
  }
  throw new Error("Nothing was thrown");
}

/** Gives a value a wrong type, as a JavaScript program may. */
export function untyped<T>(value: unknown): T {
  return value as T;
}
