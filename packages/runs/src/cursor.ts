/** One follower's place on a tape: what follows it, or a wait for more. */

import { formatPosition, parsePosition } from "./run-id.js";
import type { RunEnd, TapeItem } from "./tape.js";
import type { TapeReader, Tapes } from "./tapes.js";

/** An item with its id. */
export interface Placed {
  /** Its position: `<run id>.<number>`. */
  readonly id: string;
  readonly item: TapeItem;
}

/** Follows one tape. It keeps a position, not a copy. */
export class Cursor {
  readonly #reader: TapeReader;
  readonly #unwatch: () => void;
  /** Number of the item that was read last; 0 before the first. */
  #number: number;
  /** Ends the wait. Set exactly while `wait` is pending. */
  #resume: (() => void) | undefined;

  constructor(reader: TapeReader, after: number) {
    this.#reader = reader;
    this.#number = after;
    this.#unwatch = reader.tape.watch(() => this.wake());
  }

  /** Whether an item is there that was not read yet. */
  get hasNext(): boolean {
    return this.#number < this.#reader.tape.length;
  }

  /** The end of the run, once all items have been read; `undefined` before. */
  get end(): RunEnd | undefined {
    return this.hasNext ? undefined : this.#reader.tape.end;
  }

  /** @returns The next item and moves on; `undefined` if it is not there yet. */
  next(): Placed | undefined {
    const { runId, tape } = this.#reader;
    const item = tape.at(this.#number + 1);
    if (item === undefined) return undefined;
    this.#number += 1;
    return { id: formatPosition(runId, this.#number), item };
  }

  /** @returns Settles after the next change of the tape, or the next `wake`. Not called again before. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  /** Ends the wait, if there is one. */
  readonly wake = (): void => {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  };

  /** Gives the tape back. Idempotent. */
  close(): void {
    this.#unwatch();
    this.wake();
    this.#reader.close();
  }
}

/**
 * Opens the tape of a key after a position.
 *
 * @param after - A position as a client reports it, or the number of an item; `""` and 0 for the beginning.
 * @returns The cursor; `undefined` if there is no run, or the position belongs to another one. A follower never gets
 *   items of two runs.
 */
export async function openCursor(
  tapes: Tapes,
  key: string,
  after: string | number,
): Promise<Cursor | undefined> {
  const reader = await tapes.open(key);
  if (reader === undefined) return undefined;
  const number = numberOf(after, reader.runId);
  if (number !== undefined) return new Cursor(reader, number);
  reader.close();
  return undefined;
}

function numberOf(after: string | number, runId: string): number | undefined {
  if (typeof after === "number") return after;
  if (after === "") return 0;
  const position = parsePosition(after);
  return position?.runId === runId ? position.number : undefined;
}
