/** How long to wait before the next attempt. */

/** Longest wait of a client that has failed many times, unless the server asks for more. */
const MOST_MS = 15_000;

/** Shortest reconnection time: a server that asks for 0 must not be asked thousands of times a second. */
const LEAST_MS = 100;

/** Longest delay of a timer. */
const MAX_MS = 1e9;

/** Limits a reconnection time to one that a timer can keep. */
export function limitTime(ms: number): number {
  return Math.min(Math.max(ms, LEAST_MS), MAX_MS);
}

/**
 * Draws a delay at random, so that the clients of a server that fails do not come back at once.
 *
 * @param baseMs - The server's reconnection time, which is the shortest delay.
 * @param failures - Number of attempts in a row that have failed, at least 1. The longest delay doubles with each.
 */
export function drawDelay(baseMs: number, failures: number): number {
  const mostMs = Math.min(baseMs * 2 ** failures, Math.max(MOST_MS, 2 * baseMs));
  return baseMs + Math.random() * (mostMs - baseMs);
}

/**
 * Reads the header `Retry-After`.
 *
 * @returns Milliseconds; `undefined` if it is missing or says nothing that makes sense.
 */
export function readRetryAfter(value: string | null): number | undefined {
  // A header that is missing becomes the text "null", which is neither a number nor a date.
  const text = value as string;
  const ms = /^\d+$/.test(text) ? 1_000 * Number(text) : Date.parse(text) - Date.now();
  return ms >= 0 ? ms : undefined;
}
