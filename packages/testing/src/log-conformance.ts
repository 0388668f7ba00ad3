/** The suite that every log has to pass, for any test runner: sentence by sentence as in the contract of `Log`. */

import assert from "node:assert/strict";
import type { Log } from "@tidewire/core";
import { NotApplicable, Subject, isContext } from "./log-subject.js";
import type { LogUnderTest } from "./log-subject.js";
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
}

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
  const open = async (): Promise<LogUnderTest> => {
    const made = await makeLog();
    return "log" in made ? made : { log: made };
  };
  const tests = Object.entries({ ...LOG_TESTS, ...PAST_TESTS }).map(([name, test]) => ({
    name,
    // Jest takes a function with a parameter for one with a callback.
    run: async (...[context]: unknown[]): Promise<void> => {
      const subject = new Subject(open);
      try {
        await test(subject);
      } catch (error) {
        if (!(error instanceof NotApplicable)) throw error;
        if (isContext(context)) context.skip(error.message);
      } finally {
        await subject.close();
      }
    },
  }));
  for (const { name, run } of tests) options.test?.(name, run);
  return tests;
}
