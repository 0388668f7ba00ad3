/** The tapes of one shard: all their keys lie in one slot. */

import { randomBytes } from "node:crypto";
import { SseError } from "@tidewire/core";
import { createRunId } from "@tidewire/runs/tapes";
import type {
  CancelReason,
  RunEnd,
  RunState,
  TapeReader,
  TapeTerms,
  TapeWriter,
} from "@tidewire/runs/tapes";
import type { Locator } from "../locator.js";
import { Appends } from "./appends.js";
import { TapeCommands, stateOf } from "./commands.js";
import type { Description, RunName, Status } from "./commands.js";
import { Leases } from "./leases.js";
import { Link } from "./link.js";
import { Listener } from "./listener.js";
import type { Followed } from "./listener.js";
import { Producer } from "./producer.js";
import type { ProducerStore } from "./producer.js";

/** Options of a shard. */
export interface TapeStoreOptions {
  readonly key: string;
  readonly locator: Locator;
  readonly leaseMs: number;
  readonly maxRuns: number;
  readonly commandTimeoutMs: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Keeps runs in one slot of Redis.
 *
 * One connection carries commands that are answered at once. Another one waits for notices and reads, while there are
 * runs that are followed or produced here.
 */
export class TapeStore implements ProducerStore {
  readonly #options: TapeStoreOptions;
  readonly #commands: TapeCommands;
  readonly #link: Link;
  readonly #appends: Appends;
  readonly #listener: Listener;
  readonly #leases: Leases;
  /** Calls of `create` under way, by run id. */
  readonly #creating: Map<string, Promise<unknown>> = new Map();
  /** Runs of `#creating` that were stopped before the reply to their creation. */
  readonly #stoppedEarly: Set<string> = new Set();
  /** Names of runs that are being opened, with the number of calls. */
  readonly #opening: Map<string, number> = new Map();
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(options: TapeStoreOptions) {
    const { key, leaseMs, commandTimeoutMs, onError } = options;
    // Leases do not wait: pauses between attempts to connect are as short as where another server takes over.
    const locator: Locator = {
      hasFailover: true,
      find: (signal) => options.locator.find(signal),
    };
    this.#options = options;
    this.#commands = new TapeCommands(key, randomBytes(9).toString("base64url"), leaseMs);
    this.#link = new Link(locator, commandTimeoutMs, onError);
    this.#appends = new Appends(this.#link, this.#commands);
    this.#listener = new Listener({
      locator,
      commands: this.#commands,
      leaseMs,
      stopped: (runId) => this.#stopped(runId),
      failed: onError,
    });
    this.#leases = new Leases({
      leaseMs,
      link: this.#link,
      commands: this.#commands,
      followed: () => this.#listener.followed,
    });
  }

  /** Same as `Tapes.create`. */
  async create(
    key: string,
    name: string,
    terms: TapeTerms,
    cancel: (why: CancelReason) => void,
  ): Promise<TapeWriter | undefined> {
    this.#checkOpen();
    const runId = createRunId(key);
    const creating = this.#create(runId, key, name, terms, cancel);
    this.#creating.set(runId, creating);
    try {
      return await creating;
    } finally {
      this.#creating.delete(runId);
      this.#stoppedEarly.delete(runId);
    }
  }

  async #create(
    runId: string,
    key: string,
    name: string,
    { keepMs }: TapeTerms,
    cancel: (why: CancelReason) => void,
  ): Promise<TapeWriter | undefined> {
    const { maxRuns } = this.#options;
    const sentAt = performance.now();
    const producer = new Producer(runId, name, this, cancel);
    let reply: string;
    try {
      reply = await this.#link.send(this.#commands.create(producer, key, keepMs, maxRuns));
    } catch (error) {
      // It may have begun: its key would be taken until the lease is over.
      const buried = this.#bury(producer);
      if (!this.#isClosed) throw error;
      await buried;
      throw closedError();
    }
    if (reply === "going") return undefined;
    if (reply === "full") throw fullError(maxRuns);
    if (this.#isClosed) {
      await this.#bury(producer);
      throw closedError();
    }
    this.#leases.hold(producer, sentAt);
    this.#listener.produce(1);
    if (this.#stoppedEarly.has(runId)) producer.cancelled("stopped");
    return producer;
  }

  /** Same as `Tapes.open`. */
  async open(name: string): Promise<TapeReader | undefined> {
    this.#checkOpen();
    this.#opening.set(name, (this.#opening.get(name) ?? 0) + 1);
    let run: Followed | undefined;
    try {
      const generation = await this.#link.send<string | null>(this.#commands.follow(name));
      if (this.#isClosed) throw closedError();
      if (generation !== null) {
        run = this.#listener.follow(name, generation);
        run.readers += 1;
        if (run.readers === 1) this.#wake(run);
        this.#leases.start();
      }
    } finally {
      const others = (this.#opening.get(name) ?? 1) - 1;
      if (others === 0) this.#opening.delete(name);
      else this.#opening.set(name, others);
    }
    return run === undefined ? undefined : this.#readerOf(run);
  }

  /** Same as `Tapes.stop`. */
  async stop(name: string): Promise<boolean> {
    this.#checkOpen();
    const wasGoing = (await this.#link.send<number>(this.#commands.stop(name))) === 1;
    // The notice comes over the other connection, and later.
    if (wasGoing) for (const producer of this.#leases.findAll(name)) producer.cancelled("stopped");
    return wasGoing;
  }

  /** Same as `Tapes.state`. */
  async state(name: string): Promise<RunState | undefined> {
    this.#checkOpen();
    const found = await this.#link.send<Description | null>(this.#commands.state(name));
    return found === null ? undefined : stateOf(name, found);
  }

  /** One page of the states of runs whose names begin with a prefix. */
  async list(
    prefix: string,
    cursor: string,
  ): Promise<{ readonly cursor: string; readonly found: readonly Description[] }> {
    this.#checkOpen();
    const [next, found] = await this.#link.send<[string, Description[]]>(
      this.#commands.list(prefix, cursor),
    );
    return { cursor: next, found };
  }

  /** Same as `Tapes.close`. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Called by a producer. */
  queue(producer: Producer): void {
    // Redis adds nothing without a lease.
    this.#appends.queue(producer);
  }

  /** Called by a producer. */
  async end(producer: Producer, end: RunEnd): Promise<void> {
    try {
      const command = this.#commands.end(producer, end, producer.taken);
      const status = await this.#repeat<Status>(command, () => !this.#leases.isOver(producer));
      // Someone else may have stopped it just before.
      if (status === "lost" && end.outcome !== "lost") throw lostError();
    } finally {
      this.#forget(producer);
    }
  }

  /** Called by a producer. */
  unfollowedMs(producer: Producer): Promise<number> {
    return this.#send(this.#commands.unfollowed(producer));
  }

  /** Called by a producer. */
  drop(producer: Producer, why: CancelReason): void {
    this.#appends.drop(producer);
    this.#forget(producer);
    // Redis may not know it yet. Followers would wait until the lease is over.
    if (why === "lost" && !this.#isClosed) void this.#bury(producer);
  }

  /** Called by the listener: a run that is produced here was stopped. */
  #stopped(runId: string): void {
    const producer = this.#leases.find(runId);
    if (producer !== undefined) producer.cancelled("stopped");
    // The reply to its creation comes over another connection.
    else if (this.#creating.has(runId)) this.#stoppedEarly.add(runId);
  }

  #forget(producer: Producer): void {
    if (this.#leases.drop(producer)) this.#listener.produce(-1);
  }

  #readerOf(run: Followed): TapeReader {
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      run.readers -= 1;
      if (run.readers === 0) this.#leave(run);
    };
    return { runId: run.runId, tape: run.tape, close };
  }

  #leave(run: Followed): void {
    const { isOver } = run;
    this.#listener.leave(run);
    // A node that is opening the run at this moment follows it, and may have said so already.
    if (isOver || this.#opening.has(run.name) || this.#isClosed) return;
    this.#send(this.#commands.leave(run)).catch(() => {
      // The link has reported it. The node counts as a follower until its lease is over.
    });
  }

  /** Has the tape read, also if no item follows. */
  #wake(run: Followed): void {
    this.#send(this.#commands.wake(run)).catch(() => {
      // The link has reported it. The renewal of the node's lease finds that there is something to read.
    });
  }

  /** Ends a run as lost, if Redis can be reached before its lease is over anyway. */
  async #bury(run: RunName): Promise<void> {
    const giveUpAt = performance.now() + this.#options.leaseMs;
    const command = this.#commands.end(run, { outcome: "lost" });
    const isOfUse = (): boolean => performance.now() < giveUpAt;
    await this.#repeat(command, isOfUse, true).catch(() => {
      // Redis ends it by itself.
    });
  }

  /** Sends a command until Redis has answered it, or it is of no use any more. */
  async #repeat<Reply>(
    command: readonly string[],
    isOfUse: () => boolean,
    isBackground: boolean = false,
  ): Promise<Reply> {
    for (;;) {
      try {
        return await this.#link.send<Reply>(command, { isBackground });
      } catch (error) {
        if (!isOfUse() || this.#isClosed) throw error;
      }
      await pause(this.#leases.everyMs);
    }
  }

  #send<Reply>(command: readonly string[]): Promise<Reply> {
    return this.#link.send(command, { isBackground: true });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    this.#appends.close();
    const followed = this.#listener.followed;
    // Before the runs are cancelled, so that each is ended once, here.
    const produced = this.#leases.stop();
    this.#listener.close();
    const commands = [
      ...produced.map((producer) => this.#commands.end(producer, { outcome: "lost" })),
      ...followed.map((run) => this.#commands.leave(run)),
    ];
    for (const producer of produced) producer.cancelled("lost");
    // A follower may see the end of its last run before it takes the notice of that end.
    if (this.#listener.hasMailbox) commands.push(["UNLINK", this.#commands.mailbox]);
    await Promise.allSettled(commands.map((command) => this.#link.send(command)));
    // Runs that are being begun end here too: their keys would be taken until the lease is over.
    await Promise.allSettled(this.#creating.values());
    this.#link.close();
  }
}

function closedError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The tapes are closed", { statusCode: 503 });
}

function fullError(maxRuns: number): SseError {
  return new SseError(
    "ERR_SSE_RUNS_FULL",
    `${maxRuns} runs are running in this store (\`maxRuns\` of \`redisTapes\`)`,
    { statusCode: 503 },
  );
}

function lostError(): SseError {
  return new SseError("ERR_SSE_CLOSED", "The run was lost before its end was on the tape");
}

/** The process may exit during the pause. */
async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
