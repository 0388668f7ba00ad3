/** The suite that every log has to pass, for any test runner: sentence by sentence as in the contract of `Log`. */

import assert from "node:assert/strict";
import type { Log } from "@tidewire/core";
import { describeValue } from "@tidewire/core/adapter";
import { NotApplicable, Subject, isContext } from "./log-subject.js";
import type { LogUnderTest } from "./log-subject.js";
import { checkMs } from "./options.js";
import { LOG_TESTS } from "./log-tests.js";
import { PAST_TESTS } from "./past-tests.js";

/** One test of the suite. */
export interface ConformanceTest {
  /** The sentence that it tests. */
  readonly name: string;
  /**
   * Runs it.
   *
   * @param context - The context that the runner hands to its tests. If it has a `skip`, a test that does not apply to this
   *   log is skipped; otherwise it passes.
   * @returns Rejects with an `AssertionError` if the log does not keep the sentence.
   */
  readonly run: (...context: unknown[]) => Promise<void>;
}

/** Options of `logConformance`. */
export interface ConformanceOptions {
  /**
   * The function of the runner that declares a test: `test` or `it` of Vitest, Jest or `node:test`. It gets each name with its
   * function.
   *
   * @defaultValue none: run the returned tests yourself
   */
  readonly test?:
    | ((name: string, run: (...context: unknown[]) => Promise<void>) => unknown)
    | undefined;
  /**
   * Deadline of each test, in milliseconds, at which it fails and says what it has waited for. Less than the time limit of
   * your runner: Jest and Vitest end a test after 5 000 ms, and `node:test` never does.
   *
   * @defaultValue `4_000`
   */
  readonly withinMs?: number | undefined;
}

/** Deadline of a test, in milliseconds. */
const WITHIN_MS = 4_000;

/**
 * The suite that every log has to pass: order, duplicates, rejected appends, `dedupeKey`, made-up ids, reading back,
 * closing, and what a hub and a reader on the log return.
 *
 * ```ts
 * logConformance(() => myLog(), { test });
 * ```
 *
 * @param makeLog - Creates a log with its own empty history, or a {@link LogUnderTest}. Called once or twice for each test.
 * @param options - The runner's `test`.
 * @returns The tests, declared already if there is a `test`.
 */
export function logConformance(
  makeLog: () => Log | LogUnderTest | Promise<Log | LogUnderTest>,
  options: ConformanceOptions = {},
): readonly ConformanceTest[] {
  assert.equal(typeof makeLog, "function", "Expected a function that creates a log");
  const { withinMs = WITHIN_MS } = options;
  checkMs("withinMs", withinMs);
  const open = async (): Promise<LogUnderTest> => {
    const made: unknown = await makeLog();
    if (!isLogOrSubject(made)) assert.fail(`Expected a log, got ${describeValue(made)}`);
    return "log" in made ? made : { log: made };
  };
  const tests = Object.entries({ ...LOG_TESTS, ...PAST_TESTS }).map(([name, test]) => ({
    name,
    // Jest takes a function with a parameter for one with a callback.
    run: async (...[context]: unknown[]): Promise<void> => {
      const subject = new Subject(open);
      try {
        await subject.run(() => test(subject), withinMs);
      } catch (error) {
        if (!(error instanceof NotApplicable)) throw error;
        if (isContext(context)) context.skip(error.message);
      }
    },
  }));
  for (const { name, run } of tests) options.test?.(name, run);
  return tests;
}

function isLogOrSubject(made: unknown): made is Log | LogUnderTest {
  return typeof made === "object" && made !== null && ("log" in made || "append" in made);
}
