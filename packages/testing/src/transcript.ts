/** The record of one stream, printed with every failure. */

import { now } from "./clock.js";

/** Lines printed: the newest. */
const MOST_LINES = 60;
/** Characters of a value that are printed. */
const MOST_CHARACTERS = 160;

/** Requests, cuts and everything received on one stream, with times. */
export class Transcript {
  readonly #begun = now();
  readonly #lines: {
    readonly text: string;
    readonly atMs: number;
    lastMs: number;
    count: number;
  }[] = [];

  /** Milliseconds since the stream was opened. */
  get ms(): number {
    return Math.round(now() - this.#begun);
  }

  /** @param text - One line. A line like the one before is counted there. */
  add(text: string): void {
    const last = this.#lines.at(-1);
    const atMs = this.ms;
    if (last?.text !== text) this.#lines.push({ text, atMs, lastMs: atMs, count: 1 });
    else {
      last.count += 1;
      last.lastMs = atMs;
    }
  }

  toString(): string {
    const shown = this.#lines.slice(-MOST_LINES);
    const left = this.#lines.length - shown.length;
    const lines = shown.map(({ text, atMs, lastMs, count }) => {
      const times = count === 1 ? "" : ` (${count} times until +${lastMs} ms)`;
      return `${`+${atMs} ms`.padStart(12)}  ${text}${times}`;
    });
    return [...(left > 0 ? [`${left} lines before`] : []), ...lines].join("\n");
  }
}

/** @returns A value on one line, cut to a readable length. */
export function excerpt(text: string): string {
  const line = text.replaceAll(/\r\n|\r|\n/g, "\\n");
  return line.length <= MOST_CHARACTERS
    ? line
    : `${line.slice(0, MOST_CHARACTERS)}… (${text.length} characters)`;
}
