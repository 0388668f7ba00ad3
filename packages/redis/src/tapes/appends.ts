/** Joins what all runs of a process append into few commands. */

import { runOutside } from "@tidewire/core/adapter";
import type { Producer } from "./producer.js";
import type { Link } from "./link.js";
import type { TapeCommands } from "./commands.js";

/** Items that arrive within this many milliseconds after a command go into the next one. */
const JOIN_MS = 10;
/** Pause after a failure, in milliseconds. */
const RETRY_MS = 50;
/** Most characters in a command. It has at least one record, whatever its size. */
const MOST_CHARS = 1_048_576;
/** Most records in a command. */
const MOST_RECORDS = 20_000;

/** Part of a run's records in one command. */
export interface Portion {
  readonly producer: Producer;
  readonly records: readonly string[];
}

/**
 * Sends the records of all producers, one command at a time. The first records after a quiet time are sent in the next
 * turn of the event loop, later ones at most 10 ms after they came, or with the reply to the command before.
 *
 * A command that failed is sent again for as long as its runs have their leases.
 */
export class Appends {
  readonly #link: Link;
  readonly #commands: TapeCommands;
  /** Producers with records, those that have waited longest first. */
  readonly #queue: Set<Producer> = new Set();
  #isSending = false;
  #sentAt = -Infinity;
  /** Set while the next command waits for its time. */
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #isClosed = false;

  constructor(link: Link, commands: TapeCommands) {
    this.#link = link;
    this.#commands = commands;
  }

  /** Sends the records of a producer soon. */
  queue(producer: Producer): void {
    this.#queue.add(producer);
    this.#arm(this.#sentAt + JOIN_MS - performance.now());
  }

  /** Forgets the records of a producer. */
  drop(producer: Producer): void {
    this.#queue.delete(producer);
  }

  /** Sends nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#queue.clear();
  }

  #arm(ms: number): void {
    if (this.#isSending || this.#timer !== undefined || this.#isClosed) return;
    const send = (): void => {
      this.#timer = undefined;
      void this.#send();
    };
    // Other runs append in the same turn.
    this.#timer = runOutside(() => (ms <= 0 ? setImmediate(send) : setTimeout(send, ms)));
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    let nextMs = JOIN_MS;
    try {
      await this.#link.ready();
      this.#sentAt = performance.now();
      const portions = this.#take();
      if (portions.length > 0) {
        const replies = await this.#link.send<string[]>(this.#commands.append(portions));
        for (const [index, portion] of portions.entries()) this.#settle(portion, replies[index]);
        // The command was full.
        if (this.#queue.size > 0) nextMs = this.#sentAt + JOIN_MS - performance.now();
      }
    } catch {
      // The link has reported it. A run that cannot be written in time loses its lease.
      nextMs = RETRY_MS;
    }
    this.#isSending = false;
    if (this.#queue.size > 0) this.#arm(nextMs);
  }

  #settle({ producer, records }: Portion, reply: string | undefined): void {
    if (reply === "ok") producer.took(records.length);
    else producer.cancelled(reply === "stopped" ? "stopped" : "lost");
    // The rest waits until the other producers had their turn.
    this.#queue.delete(producer);
    if (producer.records.length > 0) this.#queue.add(producer);
  }

  #take(): readonly Portion[] {
    const portions: Portion[] = [];
    let chars = 0;
    let count = 0;
    for (const producer of this.#queue) {
      const { records } = producer;
      let length = 0;
      for (const record of records) {
        if (count > 0 && (chars + record.length > MOST_CHARS || count >= MOST_RECORDS)) break;
        chars += record.length;
        count += 1;
        length += 1;
      }
      if (length > 0) portions.push({ producer, records: records.slice(0, length) });
      if (length < records.length) break;
    }
    return portions;
  }
}
