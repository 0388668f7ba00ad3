/** Reads the tapes that are followed here, and notices to their producers, over a connection that exists meanwhile. */

import { runOutside } from "@tidewire/core/adapter";
import { Tape } from "@tidewire/runs/tapes";
import type { Client } from "../client.js";
import { Connection } from "../connection.js";
import { Deadline } from "../deadline.js";
import type { Locator } from "../locator.js";
import type { Part, Reading, TapeCommands } from "./commands.js";
import { decodeRecord } from "./record.js";

/** Interval of reads while much is added, in milliseconds: each read takes all items since the last. */
const PACE_MS = 10;
/** Most bytes of a read. It has at least one item, whatever its size. */
const MOST_BYTES = 262_144;
/** Most tapes in a read: a script holds up all other clients of Redis. */
const MOST_TAPES = 100;
/** Most notices taken at once. */
const MOST_NOTICES = 1_000;
/** A wait for a notice takes at most this part of a lease. */
const WAITS_PER_LEASE = 6;
/** Time without received data after which the connection is given up. */
const SILENCES_PER_LEASE = 3;
/** Time without runs after which the connection is closed, in milliseconds. */
const IDLE_MS = 1_000;

/** A run that is followed in this process. Its tape is shared by all readers. */
export class Followed implements Reading {
  readonly tape: Tape = new Tape();
  readonly runId: string;
  readonly name: string;
  readonly generation: string;
  /** Readers that are open. */
  readers: number = 0;
  /** When the producer's lease is over, as far as this process knows. */
  leasedUntil: number = Infinity;

  constructor(name: string, generation: string) {
    this.runId = `${name}.${generation}`;
    this.name = name;
    this.generation = generation;
  }

  /** Number of items. */
  get has(): number {
    return this.tape.length;
  }

  /** Whether the tape has its end. */
  get isOver(): boolean {
    return this.tape.end !== undefined;
  }
}

/** Options of a listener. */
export interface ListenerOptions {
  readonly locator: Locator;
  readonly commands: TapeCommands;
  readonly leaseMs: number;
  /** A run that is produced here was stopped. */
  readonly stopped: (runId: string) => void;
  /** Called once per outage, and with records that cannot be read. */
  readonly failed: (error: unknown) => void;
}

/**
 * Follows runs over one connection.
 *
 * Redis keeps a mailbox for each node: a set of notices, each of which names a run that the node follows and whose tape
 * has grown, or one that it produces and that was stopped. A blocking command waits for notices, then one script reads
 * all tapes that were named. The set of runs may therefore change while the node waits, and a run without
 * followers costs nothing.
 *
 * After a loss of the connection all tapes are read on from the number of items that they have. Without an answer for
 * as long as a lease, no producer can have its lease any more, because producers give up earlier: all runs are `lost`.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #followed: Map<string, Followed> = new Map();
  /** Runs with something to read, those that have waited longest first. */
  readonly #dirty: Set<Followed> = new Set();
  /** Runs that are produced here. */
  #produced = 0;
  #connection: Connection | undefined;
  /** Set while runs are followed: when it expires, they are lost. */
  #silence: Deadline | undefined;
  /** Number of replies. */
  #heard = 0;
  /** Closes the connection. Runs exactly while there is a connection and no run. */
  #idle: NodeJS.Timeout | undefined;
  #hasMailbox = false;
  #isClosed = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Whether Redis may hold notices to this node: from the first run on that it follows or produces. */
  get hasMailbox(): boolean {
    return this.#hasMailbox;
  }

  /** Runs that have no end yet. */
  get followed(): readonly Followed[] {
    return [...this.#followed.values()].filter(({ isOver }) => !isOver);
  }

  /** @returns The run, which is read from the next notice on, until it is given back or has its end. */
  follow(name: string, generation: string): Followed {
    const known = this.#followed.get(`${name}.${generation}`);
    if (known !== undefined) return known;
    const run = new Followed(name, generation);
    this.#followed.set(run.runId, run);
    // The notice that makes a waiting connection read it may be refused, if Redis is full.
    this.#dirty.add(run);
    this.#wake();
    return run;
  }

  /** Gives a run back, whose tape is no longer needed. */
  leave(run: Followed): void {
    this.#forget(run);
    this.#rest();
  }

  /** Waits for notices to the producer of one more run, or one less. */
  produce(change: 1 | -1): void {
    this.#produced += change;
    if (change === 1) this.#wake();
    else this.#rest();
  }

  /** Cuts the connection. */
  close(): void {
    this.#isClosed = true;
    this.#silence?.clear();
    this.#disconnect();
  }

  #wake(): void {
    this.#hasMailbox = true;
    if (this.#isClosed) return;
    clearTimeout(this.#idle);
    if (this.#silence === undefined && this.#followed.size > 0) this.#expectReplies();
    if (this.#connection !== undefined) return;
    const { locator, failed } = this.#options;
    let isDown = false;
    const connection: Connection = new Connection(locator, true, {
      up: (client) => {
        const works = (): void => {
          isDown = false;
          connection.succeed();
        };
        void this.#listen(client, connection, works);
      },
      down: (error) => {
        if (!isDown) failed(error);
        isDown = true;
      },
    });
    this.#connection = connection;
    runOutside(() => connection.start());
  }

  #forget(run: Followed): void {
    if (this.#followed.get(run.runId) === run) this.#followed.delete(run.runId);
    this.#dirty.delete(run);
  }

  #rest(): void {
    if (this.#followed.size === 0) {
      this.#silence?.clear();
      this.#silence = undefined;
    }
    if (this.#followed.size > 0 || this.#produced > 0 || this.#isClosed) return;
    clearTimeout(this.#idle);
    this.#idle = runOutside(() => setTimeout(() => this.#disconnect(), IDLE_MS).unref());
  }

  #disconnect(): void {
    clearTimeout(this.#idle);
    this.#connection?.close();
    this.#connection = undefined;
  }

  #expectReplies(): void {
    const expired = (): void => {
      this.#silence = undefined;
      for (const run of this.followed) {
        // If only this node was cut off, a later reader finds the run still running.
        this.#forget(run);
        run.tape.finish({ outcome: "lost" });
      }
      if (this.#followed.size > 0) this.#expectReplies();
    };
    const ms = this.#options.leaseMs;
    const progress = (): number => this.#heard;
    this.#silence = runOutside(() => new Deadline({ ms, progress, expired, isBackground: true }));
  }

  /**
   * Reads until the connection is lost, which reopens it.
   *
   * @param works - Called when Redis has answered everything that the node asks. It may answer reads and refuse to wait.
   */
  async #listen(client: Client, connection: Connection, works: () => void): Promise<void> {
    const silence = connection.expectData(this.#options.leaseMs / SILENCES_PER_LEASE);
    const send = async <Reply>(args: readonly string[]): Promise<Reply> => {
      const reply = (await client.sendCommand(args)) as Reply;
      connection.heard();
      this.#heard += 1;
      return reply;
    };
    for (const run of this.followed) this.#dirty.add(run);
    try {
      while (this.#connection === connection) {
        const startedAt = performance.now();
        for (const run of this.followed) if (run.leasedUntil <= startedAt) this.#dirty.add(run);
        if (this.#dirty.size > 0) {
          await this.#read(send);
          if (this.#dirty.size === 0) await pause(startedAt + PACE_MS - performance.now());
        }
        await this.#takeNotices(send);
        works();
      }
    } catch (error) {
      connection.fail(error);
    } finally {
      silence.clear();
    }
  }

  async #takeNotices(send: Send): Promise<void> {
    const { commands, stopped } = this.#options;
    const [first, others] = await Promise.all([
      // There is more to read: no time to wait.
      this.#dirty.size > 0
        ? null
        : send<[string, string, string] | null>(commands.notice(this.#waitMs())),
      send<string[]>(commands.notices(MOST_NOTICES)),
    ]);
    const notices = others.filter((_, index) => index % 2 === 0);
    if (first !== null) notices.push(first[1]);
    for (const notice of notices) {
      const runId = notice.slice(1);
      const run = this.#followed.get(runId);
      if (notice.startsWith("s")) stopped(runId);
      else if (run !== undefined && !run.isOver) this.#dirty.add(run);
    }
  }

  /** A wait ends when a lease does: a run whose producer is gone is read then, which ends it. */
  #waitMs(): number {
    let untilMs = performance.now() + this.#options.leaseMs / WAITS_PER_LEASE;
    for (const { leasedUntil } of this.followed) untilMs = Math.min(untilMs, leasedUntil);
    return Math.max(1, untilMs - performance.now());
  }

  async #read(send: Send): Promise<void> {
    const { commands } = this.#options;
    const runs = [...this.#dirty].slice(0, MOST_TAPES);
    for (const run of runs) this.#dirty.delete(run);
    const parts = await send<Part[]>(commands.read(runs, MOST_BYTES));
    const now = performance.now();
    for (const [index, run] of runs.entries()) {
      const [status, leaseMs, records] = parts[index] as Part;
      // A millisecond later the lease is over on Redis' clock too.
      run.leasedUntil = now + Number(leaseMs) + 1;
      this.#add(run, records);
      if (status === "gone") run.tape.finish({ outcome: "lost" });
      const isWanted = !run.isOver && this.#followed.get(run.runId) === run;
      if (status === "more" && isWanted) this.#dirty.add(run);
    }
  }

  #add({ tape }: Followed, records: readonly string[]): void {
    try {
      const decoded = records.map(decodeRecord);
      tape.add(decoded.flatMap((record) => ("item" in record ? record.item : [])));
      const last = decoded.at(-1);
      if (last !== undefined && "end" in last) tape.finish(last.end);
    } catch (error) {
      this.#options.failed(error);
      tape.finish({ outcome: "lost" });
    }
  }
}

/** Sends a command over the listener's connection. */
type Send = <Reply>(args: readonly string[]) => Promise<Reply>;

/** The process may exit during the pause. */
async function pause(ms: number): Promise<void> {
  if (ms > 0) {
    await new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });
  }
}
