/** Renews the leases of this process: those of runs that it produces, and those by which it counts as a follower. */

import { runOutside } from "@tidewire/core/adapter";
import { AwakeClock } from "./awake-clock.js";
import type { Status, TapeCommands } from "./commands.js";
import type { Link } from "./link.js";
import type { Followed } from "./listener.js";
import type { Producer } from "./producer.js";

/** Leases are checked this many times while one lasts. */
const CHECKS_PER_LEASE = 15;
/** Leases are renewed this many times while one lasts. */
const RENEWALS_PER_LEASE = 3;
/**
 * A producer whose lease was not renewed for this part of it gives up. A node that hears nothing of Redis says `lost`
 * after a whole lease, counted from an answer that is at most a sixth of a lease older than the outage. The producer
 * has therefore always given up before, unless its process was stopped or busy: then Redis decides.
 */
const GIVE_UP_AFTER = 0.7;
/** Most runs in one renewal: a script holds up all other clients of Redis. */
const MOST_RENEWED = 100;

/** Options of leases. */
export interface LeasesOptions {
  readonly leaseMs: number;
  readonly link: Link;
  readonly commands: TapeCommands;
  /** @returns Runs that are followed here and have no end yet. */
  readonly followed: () => readonly Followed[];
}

/** One timer for all leases of a store. It runs only while there are any, and does not keep the process alive. */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #clock: AwakeClock;
  /** Runs that are in progress and are produced here. */
  readonly #produced: Map<string, Producer> = new Map();
  #timer: NodeJS.Timeout | undefined;
  /** When the last complete renewal began. */
  #renewedAt = -Infinity;
  #isRenewing = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#clock = new AwakeClock(2 * this.everyMs);
  }

  /** Time between two checks, in milliseconds. */
  get everyMs(): number {
    return this.#options.leaseMs / CHECKS_PER_LEASE;
  }

  /**
   * Renews the lease of a producer from now on.
   *
   * @param sentAt - When the request for the first lease was sent, on the clock of `performance.now()`.
   */
  hold(producer: Producer, sentAt: number): void {
    producer.leasedAt = this.#clock.read() - (performance.now() - sentAt);
    this.#produced.set(producer.runId, producer);
    this.start();
  }

  /** @returns The producer of a run; `undefined` if it is not produced here. */
  find(runId: string): Producer | undefined {
    return this.#produced.get(runId);
  }

  /** @returns Producers of runs of a key: several if one has not learned yet that its run is over. */
  findAll(name: string): readonly Producer[] {
    return [...this.#produced.values()].filter((producer) => producer.name === name);
  }

  /** Gives the lease of a producer up. @returns `false` if it had none. */
  drop({ runId }: Producer): boolean {
    return this.#produced.delete(runId);
  }

  /** Checks leases from now on, for as long as there are any. */
  start(): void {
    this.#timer ??= runOutside(() => setInterval(() => this.#check(), this.everyMs).unref());
  }

  /** Stops, and returns the producers that still had a lease. */
  stop(): readonly Producer[] {
    clearInterval(this.#timer);
    const produced = [...this.#produced.values()];
    this.#produced.clear();
    return produced;
  }

  /** Whether a producer has to give up, because its lease was not renewed in time. */
  isOver({ leasedAt }: Producer): boolean {
    return this.#clock.read() - leasedAt > this.#options.leaseMs * GIVE_UP_AFTER;
  }

  #check(): void {
    for (const producer of this.#produced.values()) {
      if (this.isOver(producer)) producer.cancelled("lost");
    }
    const followed = this.#options.followed();
    if (this.#produced.size === 0 && followed.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const renewMs = this.#options.leaseMs / RENEWALS_PER_LEASE;
    if (performance.now() - this.#renewedAt >= renewMs) void this.#renew(followed);
  }

  async #renew(followed: readonly Followed[]): Promise<void> {
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    const startedAt = performance.now();
    try {
      for (const some of inParts([...this.#produced.values()])) await this.#renewProduced(some);
      for (const some of inParts(followed)) {
        // The last reader of a run may have left meanwhile: renewed again, it would seem followed for another lease.
        const still = some.filter(({ readers }) => readers > 0);
        // A follower whose run has ended gets a notice.
        if (still.length > 0) await this.#send(this.#options.commands.renew([], still));
      }
      this.#renewedAt = startedAt;
    } catch {
      // The link has reported it. The next check tries again, until a lease is over.
    } finally {
      this.#isRenewing = false;
    }
  }

  async #renewProduced(produced: readonly Producer[]): Promise<void> {
    // The lease lasts at least from here on.
    const sentAt = this.#clock.read();
    const replies = await this.#send<Status[]>(this.#options.commands.renew(produced, []));
    for (const [index, producer] of produced.entries()) {
      const status = replies[index];
      if (status === "ok") producer.leasedAt = sentAt;
      else producer.cancelled(status === "stopped" ? "stopped" : "lost");
    }
  }

  #send<Reply>(command: readonly string[]): Promise<Reply> {
    return this.#options.link.send(command, { isBackground: true });
  }
}

function inParts<Run>(runs: readonly Run[]): Run[][] {
  const count = Math.ceil(runs.length / MOST_RENEWED);
  return Array.from({ length: count }, (_, part) =>
    runs.slice(part * MOST_RENEWED, (part + 1) * MOST_RENEWED),
  );
}
