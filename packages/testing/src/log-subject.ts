/** Shared by the tests of `logConformance`: logs that are closed afterwards, and a follower that records. */

import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Log } from "@tidewire/core";
import type { LogEntry, LogFollower, LogResetReason } from "@tidewire/core/log";
import { startTimer, stopTimer } from "./clock.js";

/** A log with an empty history, and what the suite can do with it. The suite closes it. */
export interface LogUnderTest {
  /** The log, which was not started. */
  readonly log: Log;
  /**
   * Creates another log on the same history, as in another process. Absent: only one hub can follow the history, and tests
   * that need a second one do not apply.
   */
  readonly other?: (() => Log) | undefined;
  /**
   * Makes each `append` fail until the returned function is called. Absent: appends cannot fail while the log is open, and
   * the test of that does not apply.
   */
  readonly breakAppends?: (() => Promise<() => Promise<void>>) | undefined;
  /** Frees other resources, after the logs are closed. */
  readonly release?: (() => Promise<void>) | undefined;
}

/** The test does not apply to this log; the message says why. */
export class NotApplicable extends Error {}

/** Records what a follower receives, in order. */
export class Recorder implements LogFollower {
  readonly received: LogEntry[] = [];
  readonly resets: { reason: LogResetReason; tail: string }[] = [];
  readonly faults: unknown[] = [];
  /** Number of entries in each call. */
  readonly batches: number[] = [];
  readonly #subject: Subject;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  entries(entries: readonly LogEntry[]): boolean {
    this.batches.push(entries.length);
    this.received.push(...entries);
    return true;
  }

  reset(reason: LogResetReason, tail: string): void {
    this.resets.push({ reason, tail });
  }

  failed(error: unknown): void {
    this.faults.push(error);
  }

  get ids(): string[] {
    return this.received.map(({ id }) => id);
  }

  get data(): string[] {
    return this.received.map(({ data }) => data);
  }

  /** The resets and faults that the log has reported instead of entries. */
  get #trouble(): string {
    const reset = this.resets.at(-1);
    const fault = this.faults.at(-1);
    const resetNote = reset === undefined ? "" : ` and a reset (${reset.reason})`;
    return `${resetNote}${fault === undefined ? "" : `; the log has failed: ${inspect(fault)}`}`;
  }

  /** Waits until there are as many entries. */
  async until(count: number): Promise<void> {
    await this.#subject.until(
      () => `${count} entries, got ${this.received.length}${this.#trouble}`,
      () => this.received.length >= count,
    );
  }
}

/** A log that has started, with its follower. */
export interface Begun extends LogUnderTest {
  readonly recorder: Recorder;
  readonly tail: string;
}

/** The logs of one test. */
export class Subject {
  readonly #open: () => Promise<LogUnderTest>;
  readonly #closers: (() => Promise<unknown> | undefined)[] = [];
  /** Describes the state that the test waits for; `undefined` while it waits for a call of the log. */
  #awaited: (() => string) | undefined;
  #isLate = false;

  constructor(open: () => Promise<LogUnderTest>) {
    this.#open = open;
  }

  /**
   * Runs the test on these logs and closes them.
   *
   * @returns Rejects as the test does, and at the deadline: a log may never answer.
   */
  async run(test: () => Promise<void>, withinMs: number): Promise<void> {
    let timer: ReturnType<typeof startTimer> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = startTimer(() => {
        this.#isLate = true;
        const what = this.#awaited?.() ?? "a call of the log to settle";
        reject(new assert.AssertionError({ message: `Waited ${withinMs} ms for ${what}` }));
        // The test fails for its deadline, whatever a log does that does not keep it.
        this.close().catch(() => {});
      }, withinMs);
    });
    const closed = async (): Promise<void> => {
      try {
        await test();
      } finally {
        await this.close();
      }
    };
    try {
      await Promise.race([closed(), late]);
    } finally {
      stopTimer(timer);
    }
  }

  /** Waits for a state without an event. */
  async until(what: () => string, isTrue: () => boolean): Promise<void> {
    this.#awaited = what;
    while (!isTrue()) {
      if (this.#isLate) assert.fail(`Waited for ${what()}`);
      await delay(5);
    }
    this.#awaited = undefined;
  }

  /** Creates a log that is not started. */
  async open(): Promise<LogUnderTest> {
    const opened = await this.#open();
    this.#closers.push(() => opened.release?.());
    return opened;
  }

  /** Creates and starts a log. */
  async begin(): Promise<Begun> {
    const opened = await this.open();
    this.later(() => opened.log.close());
    return { ...opened, ...(await this.#follow(opened)) };
  }

  /** Starts another log on the history of a first one. */
  async beginOther(first: LogUnderTest): Promise<Begun> {
    const log = this.other(first);
    return { log, ...(await this.#follow({ log })) };
  }

  /** Creates another log on the history of a first one. */
  other({ other }: LogUnderTest): LogUnderTest["log"] {
    if (other === undefined) throw new NotApplicable("The log has one follower");
    const log = other();
    this.later(() => log.close());
    return log;
  }

  /** @param close - Called after the test, the last one first. */
  later(close: () => Promise<unknown> | undefined): void {
    this.#closers.push(close);
  }

  async #follow({ log }: LogUnderTest): Promise<{ recorder: Recorder; tail: string }> {
    const recorder = new Recorder(this);
    return { recorder, tail: await log.start(recorder) };
  }

  /** Closes everything. */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).toReversed()) await close();
  }
}

/** Waits. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    startTimer(resolve, ms);
  });
}

/** @returns Whether a runner's context can skip a test. */
export function isContext(context: unknown): context is { skip(reason: string): void } {
  // The context of Vitest is a function.
  const { skip } = (context ?? {}) as { readonly skip?: unknown };
  return typeof skip === "function";
}

/** Text that is an id of no log. */
export const GARBAGE: readonly string[] = [
  "",
  " ",
  "~end",
  "0",
  "-1",
  "NaN",
  "1e3",
  "0x10",
  "-",
  ".",
  "..",
  "\0",
  "\n",
  "\u{1F600}",
  "\ud800",
  "__proto__",
  "constructor",
  "a".repeat(128),
  "9".repeat(129),
  "x".repeat(10_240),
];

/** Makes texts near an id: with a character left out, replaced or added, anywhere. */
export function nearMisses(id: string): string[] {
  const characters = ["0", "9", "a", "Z", "-", ".", "~", "_", " ", "\0", "\n", "é", "\u{10FFFF}"];
  return Array.from({ length: id.length + 1 }, (_, at) => {
    const [before, behind] = [id.slice(0, at), id.slice(at)];
    return [
      before + behind.slice(1),
      ...characters.flatMap((one) => [before + one + behind, before + one + behind.slice(1)]),
    ];
  })
    .flat()
    .filter((text) => text !== id);
}
