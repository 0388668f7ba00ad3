/** The producer's side of a run whose tape is in Redis. */

import { SseError } from "@tidewire/core";
import type { CancelReason, RunEnd, TapeItem, TapeWriter } from "@tidewire/runs/tapes";
import { encodeItem } from "./record.js";

/** Requests of a producer to its store. */
export interface ProducerStore {
  /** There are records to add. */
  queue(producer: Producer): void;
  /** Ends the run on its tape. */
  end(producer: Producer, end: RunEnd): Promise<void>;
  unfollowedMs(producer: Producer): Promise<number>;
  /** The run was cancelled. */
  drop(producer: Producer, why: CancelReason): void;
}

/** A caller of `append` that waits until Redis has the records up to a number. */
interface Waiting {
  readonly upTo: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Holds the records of a run that Redis has not taken yet. They are numbered, so that a batch whose reply was lost may
 * be sent again.
 */
export class Producer implements TapeWriter {
  readonly runId: string;
  readonly name: string;
  readonly generation: string;
  /** When the request for the current lease was sent, on the clock of the leases. */
  leasedAt: number = -Infinity;
  readonly #store: ProducerStore;
  readonly #cancel: (why: CancelReason) => void;
  /** Records without a reply so far, from number `#taken + 1`. Empty once the run is over. */
  #records: string[] = [];
  /** Number of items that Redis has taken. */
  #taken = 0;
  readonly #waiting: Waiting[] = [];
  #state: "going" | "ending" | CancelReason | "over" = "going";

  /**
   * @param name - Encoded key.
   * @param cancel - Same as for `Tapes.create`.
   */
  constructor(
    runId: string,
    name: string,
    store: ProducerStore,
    cancel: (why: CancelReason) => void,
  ) {
    this.runId = runId;
    this.name = name;
    this.generation = runId.slice(name.length + 1);
    this.#store = store;
    this.#cancel = cancel;
  }

  /** Number of items that Redis has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Records to send, oldest first. */
  get records(): readonly string[] {
    return this.#records;
  }

  append(items: readonly TapeItem[]): Promise<void> {
    if (this.#state !== "going") return Promise.reject(overError());
    for (const item of items) this.#records.push(encodeItem(item));
    const upTo = this.#taken + this.#records.length;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ upTo, resolve, reject });
      // May find that the lease is over, which rejects all that wait.
      this.#store.queue(this);
    });
  }

  unfollowedMs(): Promise<number> {
    return this.#store.unfollowedMs(this);
  }

  async end(end: RunEnd): Promise<void> {
    // Another node has ended it already.
    if (this.#state === "stopped") return;
    if (this.#state !== "going") throw overError();
    this.#state = "ending";
    await this.#store.end(this, end);
    this.#state = "over";
  }

  /** Redis has taken the oldest records. */
  took(count: number): void {
    if (this.#records.length === 0) return;
    this.#taken += count;
    this.#records = this.#records.slice(count);
    while (this.#waiting[0] !== undefined && this.#waiting[0].upTo <= this.#taken) {
      this.#waiting.shift()?.resolve();
    }
  }

  /** The run was ended by another node, or its lease is over. No effect after the first call, or once it has ended. */
  cancelled(why: CancelReason): void {
    if (this.#state !== "going" && this.#state !== "ending") return;
    const isEnding = this.#state === "ending";
    this.#state = why;
    this.#records = [];
    this.#store.drop(this, why);
    if (!isEnding) this.#cancel(why);
    for (const { reject } of this.#waiting.splice(0)) reject(overError());
  }
}

function overError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The run is over, and its tape takes no more items");
}
